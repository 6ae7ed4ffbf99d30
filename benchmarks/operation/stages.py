"""``stages``: where the time of an event goes, each stage run by itself over the same records."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from benchmarks.operation.deployments import WORKER_CORES, Bench, Figures, pinned
from benchmarks.operation.drains import drain
from benchmarks.operation.streams import requests_of
from benchmarks.race.workloads import EVENTS_PER_S, SEED, SIZES, draw_stream
from stream_app.adapters.partitions import CHECKPOINT_S
from stream_app.adapters.sources import Chunk, SourceReader
from stream_app.detection.decode import decode_record
from stream_app.detection.detector import Detector
from stream_app.detection.records import Record
from stream_app.garbage import calm_garbage_collection
from stream_app.policies import read_policy
from stream_app.settings import Settings

#: Records handed to the core at once, as a partition does it.
SLICE = 250


class TimedDetector(Detector):
    """A detector that notes the CPU time of its looks and closes, and their numbers."""

    looks = closes = look_ns = close_ns = 0

    def _look(self, *given: Any, **named: Any) -> None:
        began_ns = time.thread_time_ns()
        super()._look(*given, **named)
        self.look_ns += time.thread_time_ns() - began_ns
        self.looks += 1

    def _close(self, *given: Any, **named: Any) -> None:
        began_ns = time.thread_time_ns()
        super()._close(*given, **named)
        self.close_ns += time.thread_time_ns() - began_ns
        self.closes += 1


class Encoding(NamedTuple):
    """Checkpoints among a run: their CPU time and how many states they held."""

    cpu_s: float
    states: int


def measure(bench: Bench) -> Iterator[Figures]:
    """The whole worker first; then decode, windows, looks, closes, encode and transport by themselves."""
    stream = draw_stream(SEED, SIZES["short"])
    settings = bench.deploy("stages")
    drained = drain(bench, settings, requests_of(stream))
    records = [Record(number, request.time_ms, request.value, {}) for number, request in enumerate(requests_of(stream))]
    bench.tell("stages")
    calm_garbage_collection()
    size = len(records)
    with pinned(WORKER_CORES):
        decode_s = _cpu_s(lambda: [decode_record(record.value, record.headers) for record in records])
        core_s = _cpu_s(lambda: _handle(_detector(Detector), records))
        timed = _detector(TimedDetector)
        _handle(timed, records)
        live = _encode(records, round(CHECKPOINT_S * EVENTS_PER_S))
        drained_encoding = _encode(records, round(CHECKPOINT_S * size / drained.wall_s))
        transport_s = _cpu_s(lambda: asyncio.run(_read(settings, size)))
    look_s, close_s = timed.look_ns / 1e9, timed.close_ns / 1e9
    whole_s = drained.cpu_s
    rest_s = whole_s - core_s - drained_encoding.cpu_s - transport_s
    yield from (
        _row("decode", decode_s, size),
        _row("windows: count, watermark, schedule", core_s - decode_s - look_s - close_s, size),
        _row("look and judge", look_s, size, timed.looks),
        _row("close: features, scorers, learning", close_s, size, timed.closes),
        _row("encode, as drained", drained_encoding.cpu_s, size, drained_encoding.states),
        _row("transport: client and handing over", transport_s, size),
        _row("rest: transactions, loop, metrics", rest_s, size),
        _row("whole worker, drained", whole_s, size),
        _row(f"encode, live at {EVENTS_PER_S:,} events a second", live.cpu_s, size, live.states),
    )


def _row(stage: str, cpu_s: float, events: int, times: int | None = None) -> Figures:
    row: Figures = {"case": stage, "us_per_event": round(1e6 * cpu_s / events, 2)}
    if times is not None:
        row |= {"times_per_event": round(times / events, 3), "us_each": round(1e6 * cpu_s / max(times, 1), 1)}
    return row


D = TypeVar("D", bound=Detector)


def _detector(kind: type[D]) -> D:
    return kind("stages", 0, 1, read_policy(Settings()), {})


def _cpu_s(work: Callable[[], object]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def _handle(detector: Detector, records: list[Record]) -> None:
    for place in range(0, len(records), SLICE):
        detector.handle(records[place : place + SLICE])
    detector.advance(0)


def _encode(records: list[Record], every: int) -> Encoding:
    """A checkpoint after every so many records."""
    detector = _detector(Detector)
    cpu_s, states = 0.0, 0
    for place in range(0, len(records), every):
        _handle(detector, records[place : place + every])
        began_s = time.process_time()
        states += len(detector.take_changes())
        cpu_s += time.process_time() - began_s
    return Encoding(cpu_s, states)


async def _read(settings: Settings, size: int) -> None:
    """Read the topic as the worker does, to an agent that does nothing."""
    seen, is_done = 0, asyncio.Event()

    async def deliver(chunks: list[Chunk]) -> None:
        nonlocal seen
        seen += sum(len(chunk.records) for chunk in chunks)
        if seen >= size:
            is_done.set()

    def fail(error: Exception) -> None:
        raise error

    reader = SourceReader(settings, deliver, fail)
    for partition in range(settings.partitions):
        reader.assign(partition, 0)
    reader.start()
    await is_done.wait()
    reader.stop()
    await asyncio.to_thread(reader.join)
