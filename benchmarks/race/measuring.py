"""One run of one contestant: started on a core of its own, watched from outside, stopped when it is done (Linux)."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import Struct

from benchmarks.race.contestants import ROOT, Contestant
from benchmarks.race.workloads import PARTITIONS

BROKER_CORE, CONTESTANT_CORE = 0, 1
POLL_S = 0.1
STOP_TIMEOUT_S = 30  # for a last commit after SIGTERM
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Status = Literal["done", "not finished", "failed"]


class Place(NamedTuple):
    """Where a run takes its input from and puts its output; ``folder`` is its own, for its log and its state."""

    bootstrap: str
    input: str
    output: str
    group: str
    folder: Path

    @property
    def log(self) -> Path:
        """What the contestant prints."""
        return self.folder / "log"


class Usage(NamedTuple):
    """CPU seconds of a process tree so far, and the sum of its processes' resident peaks."""

    cpu_s: float
    peak_rss_bytes: int


class Measurement(Struct, frozen=True):
    """What one run used until it was done or stopped; ``committed`` is None for one that commits nothing."""

    status: Status
    events: int
    committed: int | None
    cpu_s: float
    wall_s: float
    peak_rss_bytes: int
    problem: str = ""


class Progress:
    """The committed offsets of a group on the input topic, seen without joining the group."""

    def __init__(self, place: Place) -> None:
        self._consumer = Consumer({"bootstrap.servers": place.bootstrap, "group.id": place.group, "log_level": 0})
        self._parts = [TopicPartition(place.input, number) for number in range(PARTITIONS)]
        self.ends = [self._consumer.get_watermark_offsets(part, timeout=10)[1] for part in self._parts]
        self.offsets = [0] * PARTITIONS

    def look(self) -> None:
        """Read the offsets again; they stay as they were while the broker's coordinator is busy or not yet there."""
        try:
            found = self._consumer.committed(self._parts, timeout=5)
        except KafkaException:
            return
        self.offsets = [max(part.offset, 0) for part in found]

    @property
    def is_complete(self) -> bool:
        """Whether the whole input is committed."""
        return self.offsets == self.ends

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


class Running:
    """A started contestant: a session of processes on one core."""

    def __init__(self, contestant: Contestant, place: Place) -> None:
        state = place.folder / "state"
        state.mkdir(parents=True)
        flags = {"bootstrap": place.bootstrap, "input": place.input, "output": place.output, "group": place.group}
        arguments = [word for name, value in {**flags, "dir": str(state)}.items() for word in (f"--{name}", value)]
        with place.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(CONTESTANT_CORE), *contestant.command, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.exit_code: int | None = None
        self.usage = Usage(0.0, 0)

    def look(self) -> None:
        """Bring ``exit_code`` and ``usage`` up to date."""
        if self.exit_code is not None:
            return
        cpu_s, peak_rss_bytes = _session_usage(self._process.pid)
        pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        if pid:
            self._process.returncode = self.exit_code = os.waitstatus_to_exitcode(status)
            cpu_s = used.ru_utime + used.ru_stime  # ru_maxrss would be ours, from before its exec
        self.usage = Usage(max(cpu_s, self.usage.cpu_s), max(peak_rss_bytes, self.usage.peak_rss_bytes))

    def stop(self) -> None:
        """End it if it still runs: SIGTERM first, SIGKILL to all that is left."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        if self.exit_code is None:
            self._process.terminate()
        while self.exit_code is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
            self.look()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        if self.exit_code is None:
            self._process.wait()


def run_once(contestant: Contestant, place: Place, time_limit_s: float, report: Callable[[int], None]) -> Measurement:
    """Run to the end or to the time limit; ``report`` is told the number of committed events now and then."""
    progress = Progress(place)
    started = time.monotonic()
    running = Running(contestant, place)
    status = None
    try:
        while status is None:
            time.sleep(POLL_S)
            progress.look()
            running.look()
            wall_s = time.monotonic() - started
            report(sum(progress.offsets))
            status = _status(contestant, running, progress, wall_s >= time_limit_s)
        usage = running.usage
    finally:
        running.stop()
        progress.close()
    return Measurement(
        status,
        sum(progress.ends),
        sum(progress.offsets) or None,
        round(usage.cpu_s, 2),
        round(wall_s, 2),
        usage.peak_rss_bytes,
        "" if status == "done" else _last_words(place.log),
    )


def _status(contestant: Contestant, running: Running, progress: Progress, is_over_time: bool) -> Status | None:
    if running.exit_code is not None:
        return "done" if running.exit_code == 0 and (contestant.ends or progress.is_complete) else "failed"
    if progress.is_complete and not contestant.ends:
        return "done"
    return "not finished" if is_over_time else None


def _session_usage(session: int) -> Usage:
    ticks = peak_rss_bytes = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += sum(int(field) for field in fields[11:15])  # own and reaped children's, user and system
                peak_rss_bytes += _peak_rss_bytes(stat.with_name("status"))
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
    return Usage(ticks / TICKS_PER_S, peak_rss_bytes)


def _peak_rss_bytes(status: Path) -> int:
    line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-600:]
