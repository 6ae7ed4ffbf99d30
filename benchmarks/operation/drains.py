"""A full topic, drained by one or more workers: what it costs."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.operation.deployments import (
    ALL_CORES,
    LOOK_S,
    WORKER_CORES,
    Bench,
    Figures,
    counters,
    running_worker,
    wait_applied,
)
from benchmarks.operation.streams import PendingInput, Request
from benchmarks.throughput import worker_cpu_s
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.faults.workers import WorkerProcess


class Drained(NamedTuple):
    """What the workers together used from the moment the input was there until all of it was applied."""

    events: int
    cpu_s: float
    wall_s: float
    decisions: int
    checkpoints: int
    checkpoint_s: float

    def figures(self, floor_rate: float) -> Figures:
        """Rates, with the ratio to the floor."""
        rate = self.events / self.cpu_s
        return {
            "events": self.events,
            "events_per_cpu_s": round(rate),
            "cpu_us_per_event": round(1e6 / rate, 1),
            "events_per_wall_s": round(self.events / self.wall_s),
            "floor_events_per_cpu_s": round(floor_rate),
            "ratio_to_floor": round(rate / floor_rate, 4),
            "decisions": self.decisions,
        }


def drain(bench: Bench, settings: Settings, requests: Iterable[Request], workers: int = 1) -> Drained:
    """Fill the requests topic, start the workers, and time them from when they see the input."""
    bench.tell("filling")
    pending = PendingInput(settings.broker, settings.topic(TopicName.REQUESTS), requests)
    bench.tell("starting")
    cores = WORKER_CORES if workers == 1 else ALL_CORES
    with ExitStack() as running:
        started = [running.enter_context(running_worker(settings, cores)) for _ in range(workers)]
        _wait_shared(started, settings.partitions)
        bench.tell("draining")
        begun_cpu_s, begun_s = _cpu_s(started), time.monotonic()
        pending.show()
        wait_applied(started, pending.events)
        cpu_s, wall_s = _cpu_s(started) - begun_cpu_s, time.monotonic() - begun_s
        totals = [counters(worker) for worker in started]
    return Drained(
        pending.events,
        cpu_s,
        wall_s,
        sum(int(total["stillwatch_decisions_total"]) for total in totals),
        sum(int(total["stillwatch_checkpoint_seconds_count"]) for total in totals),
        sum(total["stillwatch_checkpoint_seconds_sum"] for total in totals),
    )


def _wait_shared(workers: list[WorkerProcess], partitions: int) -> None:
    """Return once every partition has an owner, and every worker a partition."""
    for worker in workers:
        worker.wait_ready()
    while not all(shares := [worker.owned() for worker in workers]) or len(set().union(*shares)) < partitions:
        time.sleep(LOOK_S)


def _cpu_s(workers: list[WorkerProcess]) -> float:
    return sum(worker_cpu_s(worker.pid) for worker in workers)
