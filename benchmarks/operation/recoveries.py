"""``recovery``: from the start of a process until it is ready, with many tenants in the changelog."""

import time
from collections.abc import Iterator
from itertools import cycle, islice

from benchmarks.operation.deployments import (
    LOOK_S,
    Bench,
    Figures,
    percentile,
    resident_bytes,
    running_worker,
)
from benchmarks.operation.states import States, population_states
from benchmarks.operation.streams import new_producer, put
from benchmarks.race.workloads import PARTITIONS
from benchmarks.throughput import worker_cpu_s
from stream_app.detection.state import PARTITION_KEY, PartitionState, decode_partition, encode_partition
from stream_app.settings import Settings
from stream_app.topology import TopicName

TIMEOUT_S = 300.0


def measure(bench: Bench) -> Iterator[Figures]:
    """An empty changelog first: what a worker needs anyway."""
    bench.tell("states")
    states = population_states()
    idle_bytes = 0
    for tenants in (0, 10_000, 100_000, *(() if bench.is_short else (1_000_000,))):
        settings = bench.deploy(f"recovery-{tenants}")
        sizes = _fill(bench, settings, states, tenants)
        bench.tell(f"recovering {tenants:,} tenants")
        figures = _recover(settings)
        idle_bytes = idle_bytes or int(figures["resident_bytes"])
        yield {"case": f"{tenants:,} tenants", **figures, **_per_tenant(figures, sizes, idle_bytes)}


def _fill(bench: Bench, settings: Settings, states: States, tenants: int) -> list[int]:
    """Put a partition's state into every partition, and many tenants' states beside it; sizes of the latter."""
    topic = settings.topic(TopicName.TENANT_STATE)
    producer = new_producer(bench.bootstrap, linger_ms=50)
    for number, state in enumerate(islice(cycle(states.tenants), tenants)):
        put(producer, topic, f"tenant-{number:07}".encode(), state)
        producer.poll(0)
    own = encode_partition(PartitionState(watermark=decode_partition(states.partition).watermark))
    for partition in range(PARTITIONS):
        put(producer, topic, PARTITION_KEY.encode(), own, partition=partition)
    producer.flush()
    return [len(state) for state in islice(cycle(states.tenants), tenants)]


def _recover(settings: Settings) -> Figures:
    started_s = time.monotonic()
    with running_worker(settings) as worker:
        while not worker.face.is_ready():
            if worker.exit_code is not None or time.monotonic() - started_s > TIMEOUT_S:
                raise RuntimeError(f"not ready: {worker.last_words()}")
            time.sleep(LOOK_S / 5)
        ready_s, cpu_s = time.monotonic() - started_s, worker_cpu_s(worker.pid)
        return {
            "ready_s": round(ready_s, 2),
            "cpu_s": round(cpu_s, 2),
            "partitions_taken_over": worker.log.read_text().count("taken over"),
            "resident_bytes": resident_bytes(worker.pid),
        }


def _per_tenant(figures: Figures, sizes: list[int], idle_bytes: int) -> Figures:
    if not sizes:
        return {}
    grown = int(figures["resident_bytes"]) - idle_bytes
    return {
        "records_per_s": round(len(sizes) / float(figures["ready_s"])),
        "encoded_bytes_p50": percentile(sizes, 0.5),
        "encoded_bytes_p99": percentile(sizes, 0.99),
        "resident_growth_bytes_per_tenant": round(grown / len(sizes)),
        "resident_to_encoded": round(grown / sum(sizes), 2),
    }
