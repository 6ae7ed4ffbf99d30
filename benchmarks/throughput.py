"""Events a second through the core and through a worker on real Kafka: ``python -m benchmarks.throughput``.

Workload: ``population``, seed 1, scale 4.5, about 200,000 events, one per record, few of them in the same ten seconds
of the same tenant, which is the dear case. Each figure is events per second of CPU time of the process that does the
work (machines are shared; wall time beside it), as a ratio to a floor in the same run: decoding alone for the core,
fetching by librdkafka and decoding for the worker. Without Java the worker is left out.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
import orjson
from confluent_kafka import Consumer, Producer
from rich.console import Console

from stream_app.adapters.topic_admin import create_topics
from stream_app.demo.workers import running_worker
from stream_app.detection.decode import decode_record
from stream_app.detection.state import PARTITION_KEY
from stream_app.policies import read_policy
from stream_app.replay import Replay
from stream_app.settings import Settings
from stream_app.simulate.population import population
from stream_app.topology import TopicName
from tests.brokers import NoRealBrokerError, real_kafka

SEED, SCALE = 1, 4.5
END = datetime(2026, 11, 1, 12, tzinfo=UTC)
RUNS = 5
PARTITIONS = 4


def workload() -> list[bytes]:
    """Record values in order of arrival."""
    return [orjson.dumps(event) for event in population(SEED, SCALE, END, 3 * 3600, 120)]


def decode_all(values: list[bytes]) -> None:
    """The floor of the core: every event decoded and checked, nothing more."""
    for value in values:
        decode_record(value, {})


def run_all(replay: Replay, values: list[bytes]) -> int:
    """Everything that the core does with every event; how many effects that has."""
    return sum(1 for _ in replay.run(values))


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of one run in this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure_core(values: list[bytes]) -> dict[str, object]:
    """Floor and core in turn; the median of the ratios pair by pair."""
    policy = read_policy(Settings())
    floors, cores = [], []
    replay = Replay(policy)
    for _ in range(RUNS):
        floors.append(cpu_s(lambda: decode_all(values)))
        replay = Replay(policy)
        cores.append(cpu_s(partial(run_all, replay, values)))
    sizes = sorted(len(state) for key, state in replay.states[0].items() if key != PARTITION_KEY)
    return {
        "events": len(values),
        "floor_events_per_cpu_s": round(len(values) / median(floors)),
        "core_events_per_cpu_s": round(len(values) / median(cores)),
        "ratio_to_floor": round(median(f / c for f, c in zip(floors, cores, strict=True)), 3),
        "tenants": len(sizes),
        "state_bytes_p50": sizes[len(sizes) // 2],
        "state_bytes_p99": sizes[len(sizes) * 99 // 100],
    }


def measure_worker(values: list[bytes], folder: Path) -> dict[str, object]:
    """One worker that drains a filled topic of a broker of its own, and the floor on the same topic."""
    with real_kafka() as kafka:
        settings = Settings(broker=kafka.bootstrap, partitions=PARTITIONS, data_dir=folder)
        create_topics(settings)
        topic = settings.topic(TopicName.REQUESTS)
        producer = Producer(
            {"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2", "linger.ms": 20, "log_level": 0}
        )
        for value in values:
            producer.produce(topic, value, key=orjson.loads(value)["tenant_id"].encode())
            producer.poll(0)
        producer.flush()
        floor_s = cpu_s(lambda: fetch_and_decode(kafka.bootstrap, topic, len(values)))
        started = time.monotonic()
        with running_worker(settings, folder / "worker.log") as worker:
            begun_s, begun = worker_cpu_s(worker.process.pid), worker.face.counts()
            while (counts := worker.face.counts()) is None or counts.handled < len(values):
                worker.check()
                time.sleep(0.1)
            used_s = worker_cpu_s(worker.process.pid) - begun_s
    done = len(values) - (begun.handled if begun else 0)
    return {
        "floor_events_per_cpu_s": round(len(values) / floor_s),
        "worker_events_per_cpu_s": round(done / used_s),
        "ratio_to_floor": round((done / used_s) / (len(values) / floor_s), 4),
        "wall_s_with_start": round(time.monotonic() - started, 1),
    }


def fetch_and_decode(broker: str, topic: str, count: int) -> None:
    """The floor of a worker: librdkafka's fetch and our decoding."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "floor", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    left = count
    while left:
        for message in consumer.consume(1_000, timeout=1.0):
            decode_record(message.value(), {})
            left -= 1
    consumer.close()


def worker_cpu_s(pid: int) -> float:
    """CPU seconds of another process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Print both measurements."""
    argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__).parse_args()
    console = Console(stderr=True)
    results: dict[str, object] = {}
    with console.status("making the workload"):
        values = workload()
    with console.status(f"core and floor, {RUNS} times each"):
        results["core"] = measure_core(values)
    try:
        with console.status("worker on real Kafka"), tempfile.TemporaryDirectory() as folder:
            results["worker"] = measure_worker(values, Path(folder))
    except NoRealBrokerError as error:
        console.print(f"worker left out: {error}")
    sys.stdout.buffer.write(msgspec.json.format(orjson.dumps(results), indent=2) + b"\n")


if __name__ == "__main__":
    main()
