"""Runs ``stillwatch policy what-if`` for people at the console: one at a time, in processes of its own."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import structlog
from msgspec import Struct

from stream_app.settings import Settings

#: How much history may be asked for, in words; a million events take a minute.
SPANS = {"1": "1 hour", "6": "6 hours", "24": "1 day", "72": "3 days", "168": "1 week", "all": "all that is kept"}
#: A run that is not done by then is ended: it has taken both cores for long enough.
_MOST_S = 1_800.0
#: Results kept, the newest: a page and its figures are some megabytes at most.
_MAX_KEPT = 5

_log = structlog.get_logger()


class Run(Struct):
    """One what-if: ``result`` is its JSON and ``page`` its HTML when it is done, ``problem`` why it is not."""

    number: int
    by: str
    at_ms: int
    version: str
    hours: str
    result: dict[str, Any] | None = None
    page: bytes = b""
    problem: str = ""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.result is not None or bool(self.problem)


class WhatIfRuns:
    """The newest runs, the newest last; a second one is not begun while one goes on."""

    def __init__(self, settings: Settings) -> None:
        self.kept: list[Run] = []
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether one goes on."""
        return self._task is not None and not self._task.done()

    def begin(self, text: str, run: Run) -> None:
        """Run the policy of this text against the requests topic; nobody else may be doing so."""
        self.kept = [*self.kept, run][-_MAX_KEPT:]
        self._task = asyncio.create_task(self._run(text, run))

    def find(self, number: str) -> Run | None:
        """A run by its number, or the newest."""
        chosen = [run for run in self.kept if str(run.number) == number] or self.kept
        return chosen[-1] if chosen else None

    async def stop(self) -> None:
        """End what goes on."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, text: str, run: Run) -> None:
        with TemporaryDirectory(prefix="stillwatch-what-if-") as folder:
            try:
                await asyncio.wait_for(_compare(self._settings, Path(folder), text, run), _MOST_S)
            except TimeoutError:
                run.problem = f"not done within {_MOST_S / 60:.0f} min: ask for fewer hours, or use the command"
            except asyncio.CancelledError:
                run.problem = "the console is stopping"
                raise
            except (OSError, ValueError) as error:
                run.problem = str(error)
        _log.info("what-if ended", policy=run.version, hours=run.hours, by=run.by, problem=run.problem)


async def _compare(settings: Settings, folder: Path, text: str, run: Run) -> None:
    policy, out = folder / "new.yaml", folder / "out"
    await asyncio.to_thread(policy.write_text, text, encoding="utf-8")
    given = settings.model_dump(exclude_none=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream_app", "policy", "what-if", str(policy)),
        *("--against", "kafka://" if run.hours == "all" else f"kafka://?hours={run.hours}", "--out", str(out)),
        env=os.environ | {f"STILLWATCH_{name.upper()}": str(value) for name, value in given.items()},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # it begins two more, and all of them end together
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or [f"ended with {process.returncode}"]
        run.problem = lines[-1].replace(str(policy), "the policy").removeprefix("Error: ")
        return
    run.page = await asyncio.to_thread((out / "what-if.html").read_bytes)
    run.result = orjson.loads(await asyncio.to_thread((out / "what-if.json").read_bytes))
