"""Two ways to make a checkpoint exact, side by side on a real broker: ``python -m benchmarks.checkpoints``.

*transaction*: changed states, the partition's own state and the group's offset in one transaction of the partition's
producer; a new owner fences the old one. *order*: the same records by an idempotent producer, the partition's state
last, then the group's offset. Rounds are interleaved; CPU time is that of this process, wall time is coarse on a busy
machine.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.brokers import KafkaRecords, NoRealBrokerError, alter_topic, create_topics, real_kafka

STATE = b"s" * 500
ROUNDS = 7
CASES = ((1, 100), (1, 1_000), (1, 10_000), (4, 1_000), (4, 10_000), (16, 1_000))
ANSWER_S = 30.0
COMPACTION_S = 60.0
#: A broker that compacts whatever it may, within seconds.
EAGER = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
}


class Cost(NamedTuple):
    """Seconds of one checkpoint of all partitions."""

    wall_s: float
    cpu_s: float


Checkpoint = Callable[[int], None]


def measured(work: Callable[[], None]) -> Cost:
    """What one call costs."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def fill(producer: Producer, partition: int, count: int) -> None:
    """Give a producer the states of one checkpoint."""
    for number in range(count):
        while True:
            try:
                producer.produce("changelog", STATE, f"tenant-{number}".encode(), partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
    producer.produce("changelog", b"position", b"partition", partition=partition)


def fenced_producer(bootstrap: str, partition: int) -> Producer:
    """The partition's producer; whoever had it before is refused from now on."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"bench-{partition}", "log_level": 0})
    producer.init_transactions(ANSWER_S)
    return producer


def by_transaction(bootstrap: str, group: Consumer, partitions: int) -> Checkpoint:
    """Checkpoints in transactions."""
    producers = [fenced_producer(bootstrap, number) for number in range(partitions)]
    metadata = group.consumer_group_metadata()

    def checkpoint(count: int) -> None:
        for number, producer in enumerate(producers):
            producer.begin_transaction()
            fill(producer, number, count)
            producer.send_offsets_to_transaction([TopicPartition("source", number, 1)], metadata, ANSWER_S)
        for producer in producers:
            producer.commit_transaction(ANSWER_S)

    return checkpoint


def by_order(bootstrap: str, group: Consumer, partitions: int) -> Checkpoint:
    """Checkpoints by the order of records, then the offsets."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})

    def checkpoint(count: int) -> None:
        for number in range(partitions):
            fill(producer, number, count)
        producer.flush(ANSWER_S)
        group.commit(offsets=[TopicPartition("source", n, 1) for n in range(partitions)], asynchronous=False)

    return checkpoint


def compare(bootstrap: str, group: Consumer, console: Console) -> Table:
    """Costs of all cases."""
    table = Table("partitions", "changed tenants each", "way", "wall ms", "CPU ms", "CPU to the other's")
    for partitions, count in track(CASES, "checkpoints", console=console):
        ways = {"transaction": by_transaction(bootstrap, group, partitions)}
        ways["order"] = by_order(bootstrap, group, partitions)
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, checkpoint in ways.items():
                costs[name].append(measured(partial(checkpoint, count)))
        ratio = median(a.cpu_s / b.cpu_s for a, b in zip(costs["transaction"], costs["order"], strict=True))
        for name, found in costs.items():
            wall, cpu = median(cost.wall_s for cost in found), median(cost.cpu_s for cost in found)
            told = f"{ratio:.2f}" if name == "transaction" else ""
            table.add_row(str(partitions), f"{count:,}", name, f"{wall * 1e3:.1f}", f"{cpu * 1e3:.1f}", told)
    return table


def decide(bootstrap: str) -> Table:
    """The time from one decision to its acknowledgement."""
    fenced, plain = fenced_producer(bootstrap, 0), Producer({"bootstrap.servers": bootstrap, "log_level": 0})

    def in_transaction() -> None:
        fenced.begin_transaction()
        fenced.produce("decisions", b"block", b"tenant:acme", partition=0)
        fenced.commit_transaction(ANSWER_S)

    def acknowledged() -> None:
        plain.produce("decisions", b"block", b"tenant:acme", partition=0)
        plain.flush(ANSWER_S)

    table = Table("one decision", "median ms", "worst of 50 ms")
    for name, way in (("in a transaction", in_transaction), ("acknowledged", acknowledged)):
        walls = sorted(measured(way).wall_s for _ in range(50))
        table.add_row(name, f"{median(walls) * 1e3:.1f}", f"{walls[-1] * 1e3:.1f}")
    return table


def wake_up_late(bootstrap: str) -> Table:
    """A frozen owner wakes up and writes its old block, after the new owner's release; then the log is compacted."""
    table = Table("a frozen owner's late write", "the broker", "what a new reader finds after compaction")
    for name, new in (("transaction", lambda: fenced_producer(bootstrap, 9)), ("order", lambda: None)):
        topic = f"late-{name}"
        create_topics(bootstrap, {topic: 1})
        alter_topic(bootstrap, topic, EAGER)
        old = new() or Producer({"bootstrap.servers": bootstrap, "log_level": 0})
        owner = new() or Producer({"bootstrap.servers": bootstrap, "log_level": 0})
        write(owner, topic, b"allow", is_transaction=name == "transaction")
        try:
            write(old, topic, b"block", is_transaction=name == "transaction")
            answer = "takes it"
        except KafkaException as error:
            answer = f"refuses it ({error.args[0].name()})"
        table.add_row(name, answer, compacted(bootstrap, topic, owner, is_transaction=name == "transaction"))
    return table


def write(producer: Producer, topic: str, value: bytes, *, is_transaction: bool, key: bytes = b"tenant:acme") -> None:
    """One record, committed."""
    if is_transaction:
        producer.begin_transaction()
    producer.produce(topic, value, key, partition=0)
    if is_transaction:
        producer.commit_transaction(ANSWER_S)
    elif producer.flush(ANSWER_S):
        raise TimeoutError("not acknowledged")


def compacted(bootstrap: str, topic: str, producer: Producer, *, is_transaction: bool) -> str:
    """The tenant's values that are left once the log holds one record of it; other keys roll its segments."""
    deadline = time.monotonic() + COMPACTION_S
    while True:
        write(producer, topic, b"x", is_transaction=is_transaction, key=b"other")
        with KafkaRecords(bootstrap, topic) as reader:
            values = [
                record.value.decode()
                for record in reader.read_to_end()
                if record.key == b"tenant:acme" and record.value
            ]
        if len(values) == 1:
            return values[0]
        if time.monotonic() > deadline:
            return f"not compacted within {COMPACTION_S:.0f} s: {', '.join(values)}"
        time.sleep(0.5)


def main() -> int:
    """Print the tables; exit status 1 without a broker."""
    argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__).parse_args()
    console = Console(stderr=True)
    try:
        with real_kafka() as kafka:
            create_topics(kafka.bootstrap, {"changelog": 16, "decisions": 1, "source": 16})
            group = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "bench", "enable.auto.commit": False})
            for table in (
                compare(kafka.bootstrap, group, console),
                decide(kafka.bootstrap),
                wake_up_late(kafka.bootstrap),
            ):
                Console().print(table)
            group.close()
    except NoRealBrokerError as error:
        console.print(str(error), markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
