"""A worker as a process of its own, watched from outside."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stream_app.demo.observers import WorkerFace
from stream_app.settings import Settings

#: A worker on a busy machine is ready after 5 to 10 s; after this long it never will be.
START_TIMEOUT_S = 60.0
#: A worker that is told to stop checkpoints and leaves its group; after this long it is killed.
STOP_TIMEOUT_S = 30.0
_LOOK_S = 0.1


class DemoError(Exception):
    """The demo cannot go on; the message says why, with the worker's last words where it is the worker."""


class RunningWorker(NamedTuple):
    """A worker process, its web face and the file its log goes to."""

    process: subprocess.Popen[bytes]
    face: WorkerFace
    log: Path

    def check(self) -> None:
        """Raise ``DemoError`` if the process has ended."""
        if self.process.poll() is not None:
            raise DemoError(f"the worker ended with code {self.process.returncode}:\n{self.last_words()}")

    def wait_until_ready(self) -> None:
        """Wait until it has its partitions.

        Raises ``DemoError`` when it ends by itself or takes longer than ``START_TIMEOUT_S``.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.face.is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"the worker was not ready after {START_TIMEOUT_S:.0f} s:\n{self.last_words()}")
            time.sleep(_LOOK_S)

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-2000:]


@contextmanager
def running_worker(settings: Settings, log: Path) -> Iterator[RunningWorker]:
    """Start ``stillwatch worker`` on a free web port, wait until it is ready, and stop it at the end.

    Raises ``DemoError`` when it ends by itself or is not ready within ``START_TIMEOUT_S``.
    """
    with starting_worker(settings, log) as worker:
        worker.wait_until_ready()
        yield worker


@contextmanager
def starting_worker(settings: Settings, log: Path) -> Iterator[RunningWorker]:
    """The same without waiting, so that several start at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = settings.model_copy(update={"web_port": port})
    given = {f"STILLWATCH_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_none=True).items()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "worker"], env=os.environ | given, stdout=output, stderr=output
        )
    worker = RunningWorker(process, WorkerFace(port), log)
    try:
        yield worker
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
