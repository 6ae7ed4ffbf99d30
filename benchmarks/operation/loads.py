"""``load``: job J2, the full worker over the seeded stream of job J1."""

from collections.abc import Iterator

import numpy as np

from benchmarks.operation.deployments import Bench, Figures
from benchmarks.operation.drains import drain
from benchmarks.operation.streams import requests_of
from benchmarks.race.workloads import Stream
from stream_app.detection.windows import MINUTE_MS


def measure(bench: Bench) -> Iterator[Figures]:
    """Rates, and how many closes an event brings about."""
    stream = bench.stream()
    minutes = _tenant_minutes(stream)
    for repetition in range(bench.repetitions):
        floor_rate, slower_rate = bench.floor_rate(), bench.floor_rate("aiokafka")
        drained = drain(bench, bench.deploy(f"load-{repetition}"), requests_of(stream))
        yield {
            "case": f"J2, {len(stream.tenants):,} events",
            **drained.figures(floor_rate),
            "ratio_to_aiokafka": round(drained.events / drained.cpu_s / slower_rate, 4),
            "active_minutes_per_event": round(minutes / len(stream.tenants), 3),
            "checkpoints": drained.checkpoints,
        }


def _tenant_minutes(stream: Stream) -> int:
    """Minutes in which a tenant is active, over all tenants; each is closed once."""
    return len(np.unique(stream.tenants * (1 << 32) + stream.times_ms // MINUTE_MS))
