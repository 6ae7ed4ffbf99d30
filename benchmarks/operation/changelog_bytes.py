"""``bytes``: what goes into the changelog, how long checkpoints take, and how large states are, field by field."""

import time
from collections.abc import Iterator
from statistics import mean

from benchmarks.operation.deployments import Bench, Figures, counters, percentile, running_worker, wait_applied
from benchmarks.operation.live_traffic import Background
from benchmarks.operation.states import field_bytes, population_states
from benchmarks.race.workloads import EVENTS_PER_S, PARTITIONS, SEED, SIZES, draw_stream
from stream_app.detection.state import PARTITION_KEY
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import Record
from tests.faults.topics import CommittedRecords


def measure(bench: Bench) -> Iterator[Figures]:
    """Live traffic of job J1 in its own time, then the states of a population after three hours."""
    yield _live(bench, 20.0 if bench.is_short else 120.0)
    bench.tell("states")
    states = population_states().tenants
    for name, sizes in {"whole state": [len(state) for state in states], **field_bytes(states)}.items():
        yield {
            "case": f"population, {len(states):,} tenants: {name}",
            "bytes_mean": round(mean(sizes), 1),
            "bytes_p50": percentile(sizes, 0.5),
            "bytes_p99": percentile(sizes, 0.99),
            "percent": round(100 * sum(sizes) / sum(map(len, states)), 1),
        }


def _live(bench: Bench, duration_s: float) -> Figures:
    settings = bench.deploy("bytes")
    stream = draw_stream(SEED, SIZES["short"])
    with running_worker(settings) as worker:
        worker.wait_ready()
        bench.tell("live traffic")
        background = Background(settings, stream, EVENTS_PER_S)
        until_s = time.monotonic() + duration_s
        while time.monotonic() < until_s:
            background.send_due()
        background.flush()
        wait_applied([worker], background.sent)
        total = counters(worker)
    written = _changelog(settings)
    tenants = [record for record in written if record.key != PARTITION_KEY.encode()]
    sizes = [len(record.value or b"") for record in tenants]
    written_bytes = sum(len(record.key or b"") + len(record.value or b"") for record in written)
    checkpoints = int(total["stillwatch_checkpoint_seconds_count"])
    return {
        "case": f"live, {EVENTS_PER_S:,} events a second, {len({record.key for record in tenants}):,} tenants",
        "changelog_bytes_per_event": round(written_bytes / background.sent),
        "states_per_event": round(len(tenants) / background.sent, 3),
        "checkpoint_ms_mean": round(1000 * total["stillwatch_checkpoint_seconds_sum"] / max(checkpoints, 1), 1),
        "checkpoints": checkpoints,
        "bytes_mean": round(mean(sizes), 1),
        "bytes_p50": percentile(sizes, 0.5),
        "bytes_p99": percentile(sizes, 0.99),
    }


def _changelog(settings: Settings) -> list[Record]:
    with CommittedRecords(settings.broker, settings.topic(TopicName.TENANT_STATE), PARTITIONS) as changelog:
        return changelog.read_to_end()
