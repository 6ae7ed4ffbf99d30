"""``scaling``: one worker and two of them, over the same events."""

from collections.abc import Iterator

from benchmarks.operation.deployments import Bench, Figures
from benchmarks.operation.drains import drain
from benchmarks.operation.streams import requests_of


def measure(bench: Bench) -> Iterator[Figures]:
    """Rates by CPU time of all workers together."""
    stream = bench.stream()
    for repetition in range(bench.repetitions):
        for workers in (1, 2):
            floor_rate = bench.floor_rate()
            settings = bench.deploy(f"scaling-{repetition}-{workers}")
            drained = drain(bench, settings, requests_of(stream), workers)
            yield {"case": f"{workers} worker{'s' * (workers > 1)}", **drained.figures(floor_rate)}
