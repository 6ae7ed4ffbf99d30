"""Worker processes that may be killed, frozen, starved or told a wrong time, and are started again."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from stream_app.demo.observers import WorkerFace
from stream_app.settings import Settings
from tests import brokers

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_LOOK_S = 0.05
_LAG, _MISSED, _REWINDS = (
    "stillwatch_consumer_lag_records",
    "stillwatch_missed_records_total",
    "stillwatch_rewinds_total",
)

STOCK = ("-m", "stream_app", "worker")


class WorkerProcess:
    """One ``stillwatch worker``; ``arguments`` are Python's, ``environment`` is added to ours."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        arguments: Sequence[str] = STOCK,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        own = settings.model_copy(update={"web_port": port, "data_dir": folder / "data"})
        given = {f"STILLWATCH_{name.upper()}": str(value) for name, value in own.model_dump(exclude_none=True).items()}
        self.face = WorkerFace(port)
        self.log = folder / "worker.log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [*brokers._dies_with_us(), sys.executable, *arguments],
                env=os.environ | given | dict(environment or {}),
                cwd=brokers.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; ``None`` while it runs."""
        return self._process.poll()

    def wait_ready(self) -> None:
        """Return once it has partitions and their state. Raises ``RuntimeError`` when it ends, or never is."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self.face.is_ready():
            if self.exit_code is not None:
                raise RuntimeError(f"the worker ended with code {self.exit_code}:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the worker was not ready after {READY_TIMEOUT_S:.0f} s:\n{self.last_words()}")
            time.sleep(_LOOK_S)

    def wait_end(self, timeout_s: float = READY_TIMEOUT_S) -> int:
        """How it ends by itself. Raises ``TimeoutExpired``."""
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it do nothing until ``wake`` (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let a frozen one go on (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM), without waiting."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Ask it to end and wait; its exit code, that of SIGKILL if it did not end in time."""
        if self.exit_code is None:
            self.wake()
            self.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def limit(self, what: int, amount: int) -> None:
        """Set a resource limit (``resource.RLIMIT_*``) of the running process."""
        _, hard = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (amount, hard))

    def owned(self) -> set[int]:
        """Partitions that it says it is working on."""
        return {int(labels["partition"]) for name, labels, _ in self._samples() if name == _LAG}

    def missed(self) -> int:
        """Records that it says were gone before it could read them."""
        return self._total(_MISSED)

    def lag(self) -> int:
        """Records that it says it has still to read."""
        return self._total(_LAG)

    def rewinds(self) -> int:
        """Chunks that it says came out of order."""
        return self._total(_REWINDS)

    def _total(self, wanted: str) -> int:
        return sum(int(value) for name, _, value in self._samples() if name == wanted)

    def _samples(self) -> list[tuple[str, dict[str, str], float]]:
        with urlopen(f"http://127.0.0.1:{self.face.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        families = text_string_to_metric_families(text)
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3000:]
