"""A worker that notes how long its event loop is held up: ``python -m benchmarks.operation.watched_worker FILE``.

It is put together as ``stillwatch worker`` does. Every iteration of the loop is measured from the moment its selector
returns to the moment it is asked again, in wall time and in CPU time of the loop's thread, which a busy machine does
not lengthen. FILE gets the longest iterations, with what the core did in them.
"""

import asyncio
import gc
import heapq
import selectors
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faust
import msgspec
from msgspec import Struct

from stream_app.app import create_app, effect_records
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect
from stream_app.detection.records import Record
from stream_app.garbage import calm_garbage_collection
from stream_app.policies import read_policy
from stream_app.settings import load_settings
from stream_app.topology import TopicName

KEPT = 20


class Stall(Struct, frozen=True):
    """One iteration of the loop, ``at_s`` after the start.

    ``calls_ms`` is the CPU time of the core's calls in it, by name, and of looking for cycles, wherever that fell.
    """

    cpu_ms: float
    wall_ms: float
    at_s: float
    calls_ms: dict[str, float]


class Stalls(Struct):
    """All iterations from the first event to SIGHUP: their number, and the longest by CPU and by wall time."""

    iterations: int
    cpu_s: float
    by_cpu: list[Stall]
    by_wall: list[Stall]


class WatchingSelector(selectors.EpollSelector):
    """A selector that notes the time between its answer and the next question."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_ms: dict[str, float] = {}
        self.stalls = Stalls(0, 0.0, [], [])
        self._wall_s, self._cpu_s = time.perf_counter(), time.thread_time()
        self._began_s = self._wall_s
        self._is_counting = self._has_ended = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As any selector."""
        self._note(time.perf_counter(), time.thread_time())
        ready = super().select(timeout)
        self._wall_s, self._cpu_s = time.perf_counter(), time.thread_time()
        return ready

    def begin(self) -> None:
        """Count from now on, unless that has ended: the start is over."""
        self._is_counting = not self._has_ended

    def end(self) -> None:
        """Count no longer: the stop begins."""
        self._is_counting, self._has_ended = False, True

    def _note(self, wall_s: float, cpu_s: float) -> None:
        calls_ms, self.calls_ms = self.calls_ms, {}
        if not self._is_counting:
            return
        used_s, took_s = cpu_s - self._cpu_s, wall_s - self._wall_s
        self.stalls.iterations += 1
        self.stalls.cpu_s += used_s
        stall = Stall(1000 * used_s, 1000 * took_s, self._wall_s - self._began_s, calls_ms)
        _keep(self.stalls.by_cpu, stall, lambda kept: kept.cpu_ms)
        _keep(self.stalls.by_wall, stall, lambda kept: kept.wall_ms)


def _keep(longest: list[Stall], stall: Stall, length: Any) -> None:
    if len(longest) < KEPT or length(stall) > length(longest[-1]):
        longest[:] = heapq.nlargest(KEPT, [*longest, stall], key=length)


class GarbageWatch:
    """Notes the CPU time that the loop's thread spends looking for cycles."""

    def __init__(self, selector: WatchingSelector) -> None:
        self._selector = selector
        self._thread = threading.get_ident()
        self._began_s = 0.0

    def __call__(self, phase: str, found: dict[str, int]) -> None:
        """As ``gc.callbacks`` has it."""
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._began_s = time.thread_time()
            return
        name = f"garbage collection, generation {found['generation']}"
        calls_ms = self._selector.calls_ms
        calls_ms[name] = calls_ms.get(name, 0.0) + 1000 * (time.thread_time() - self._began_s)


class WatchedDetector(Detector):
    """A detector that says how long it was at what."""

    selector: WatchingSelector

    def handle(self, records: Iterable[Record]) -> list[Effect]:
        """As any detector; the first call ends the start."""
        self.selector.begin()
        with self._noting("handle"):
            return super().handle(records)

    def handle_long(self, record: Record, most: int) -> Iterator[list[Effect]]:
        """As any detector."""
        self.selector.begin()
        parts = super().handle_long(record, most)
        while True:
            with self._noting("handle_long"):
                effects = next(parts, None)
            if effects is None:
                return
            yield effects

    def advance(self, now_ms: int, most: int = 1 << 62) -> list[Effect]:
        """As any detector."""
        with self._noting("advance"):
            return super().advance(now_ms, most)

    def begin_checkpoint(self) -> None:
        """As any detector."""
        with self._noting("begin_checkpoint"):
            super().begin_checkpoint()

    def encode_checkpoint(self, most: int = 1 << 62) -> dict[str, bytes | None] | None:
        """As any detector."""
        with self._noting("encode_checkpoint"):
            return super().encode_checkpoint(most)

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        began_s = time.thread_time()
        try:
            yield
        finally:
            calls_ms = self.selector.calls_ms
            calls_ms[name] = calls_ms.get(name, 0.0) + 1000 * (time.thread_time() - began_s)


def main() -> None:
    """Run until SIGTERM, then write the file."""
    settings = load_settings()
    policy = read_policy(settings)
    selector = WatchingSelector()
    loop = asyncio.SelectorEventLoop(selector)
    asyncio.set_event_loop(loop)
    loop.add_signal_handler(signal.SIGHUP, selector.end)

    def new_detector(number: int, states: dict[str, bytes]) -> Detector:
        detector = WatchedDetector(settings.topic(TopicName.REQUESTS), number, settings.partitions, policy, states)
        detector.has_campaigns = True
        detector.selector = selector
        return detector

    app, services = create_app(settings, new_detector, effect_records(settings))
    calm_garbage_collection()
    gc.callbacks.append(GarbageWatch(selector))
    worker = faust.Worker(app, *services, quiet=True, redirect_stdouts=False, override_logging=False, loop=loop)
    try:
        worker.execute_from_commandline()
    finally:
        Path(sys.argv[1]).write_bytes(msgspec.json.encode(selector.stalls))


if __name__ == "__main__":
    main()
