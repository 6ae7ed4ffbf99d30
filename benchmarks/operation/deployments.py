"""What every measurement has: a broker on its own core, topics of its own, and workers on another core (Linux)."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.race.floors import DRAINS
from benchmarks.race.measuring import BROKER_CORE, CONTESTANT_CORE
from benchmarks.race.workloads import PARTITIONS, SEED, SIZES, Stream, draw_stream
from stream_app.adapters.topic_admin import create_topics
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import alter_topic
from tests.faults.workers import STOCK, WorkerProcess

WORKER_CORES = frozenset({CONTESTANT_CORE})
ALL_CORES = frozenset({BROKER_CORE, CONTESTANT_CORE})
FLOOR_TOPIC = "floor"
#: Event time may lie far from this machine's clock, on either side.
INPUT_CONFIG = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
#: A worker that applies nothing for so long never will.
STALLED_S = 60.0
LOOK_S = 0.25

Figures = dict[str, float | int | str]


class Bench(NamedTuple):
    """What all measurements share; ``tell`` shows what is being done."""

    bootstrap: str
    folder: Path
    is_short: bool
    tell: Callable[[str], None]

    @property
    def repetitions(self) -> int:
        """How often a rate is measured."""
        return 1 if self.is_short else 3

    def stream(self) -> Stream:
        """The seeded stream of job J1."""
        return draw_stream(SEED, SIZES["short" if self.is_short else "full"])

    def deploy(self, name: str, partitions: int = PARTITIONS, **changes: Any) -> Settings:
        """Settings of a deployment whose topics have been made."""
        settings = Settings(
            broker=self.bootstrap,
            topic_prefix=name,
            group=name,
            partitions=partitions,
            data_dir=self.folder / name,
            **changes,
        )
        create_topics(settings)
        alter_topic(self.bootstrap, settings.topic(TopicName.REQUESTS), INPUT_CONFIG)
        return settings

    def floor_rate(self, client: str = "librdkafka") -> float:
        """Events per CPU second of fetching and decoding alone, on the core of the workers."""
        self.tell("floor")
        rates = []
        with pinned(WORKER_CORES):
            for _ in range(3):
                started_s = time.process_time()
                rates.append(DRAINS[client](self.bootstrap, FLOOR_TOPIC) / (time.process_time() - started_s))
        return median(rates)


@contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Threads and processes that this thread starts meanwhile, and itself, stay on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running_worker(
    settings: Settings, cores: Collection[int] = WORKER_CORES, arguments: Sequence[str] = STOCK
) -> Iterator[WorkerProcess]:
    """A worker process on given cores; ended, if it still runs, with the block. Not waited for."""
    with pinned(cores):
        worker = WorkerProcess(settings, settings.data_dir / str(time.monotonic_ns()), arguments)
    try:
        yield worker
    finally:
        worker.end()


def counters(worker: WorkerProcess) -> defaultdict[str, float]:
    """All samples of a worker's metrics by name, summed over their labels; ``RuntimeError`` when it has ended."""
    try:
        with urlopen(f"http://127.0.0.1:{worker.face.port}/metrics", timeout=STALLED_S) as answer:
            text = answer.read().decode()
    except OSError as error:
        words = worker.last_words()
        raise RuntimeError(f"the worker does not answer ({error}; exit code {worker.exit_code}):\n{words}") from error
    found: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] += sample.value
    return found


def applied(workers: Sequence[WorkerProcess]) -> int:
    """Events that the workers are done with, good or bad."""
    return sum(int(counters(worker)["stillwatch_events_total"]) for worker in workers)


def wait_applied(workers: Sequence[WorkerProcess], events: int) -> None:
    """Return once the workers are done with so many events. Raises ``RuntimeError`` when they no longer get on."""
    done, since_s = -1, time.monotonic()
    while (now_done := applied(workers)) < events:
        if now_done > done:
            done, since_s = now_done, time.monotonic()
        if time.monotonic() - since_s > STALLED_S:
            words = "\n".join(worker.last_words() for worker in workers)
            raise RuntimeError(f"{done} of {events} events, and nothing for {STALLED_S:.0f} s:\n{words}")
        time.sleep(LOOK_S)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of all values (0..1) does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
