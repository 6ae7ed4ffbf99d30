"""A deployment under test: topics, a running worker, a producer, and what came out."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson
from confluent_kafka import Producer

from stream_app.demo.observers import Counts
from stream_app.demo.workers import RunningWorker, running_worker
from stream_app.detection.decisions import Decision
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import KafkaRecords, Record

TIMEOUT_S = 60  # for a worker to finish what a test sends, on a machine that is busy with other tests
MAX_IN_FLIGHT = 5_000  # the embedded broker keeps 5 MiB a partition


class Deployment(NamedTuple):
    """Settings of a deployment with topics of its own, and its one worker."""

    settings: Settings
    worker: RunningWorker
    producer: Producer

    def send(self, value: bytes | None, *, tenant_id: str, **produce: Any) -> None:
        """Produce one request record as a gateway would."""
        self.producer.produce(self.settings.topic(TopicName.REQUESTS), value, key=tenant_id.encode(), **produce)

    def send_events(self, events: Iterable[dict[str, Any]]) -> int:
        """Produce events one by one, never far ahead of the worker; how many."""
        sent = handled = 0
        for event in events:
            self.send(orjson.dumps(event), tenant_id=event["tenant_id"])
            sent += 1
            while sent - handled > MAX_IN_FLIGHT:
                self.producer.flush()
                handled = self.wait_for(sent - MAX_IN_FLIGHT // 2).handled
        self.producer.flush()
        return sent

    def wait_for(self, handled: int) -> Counts:
        """Wait until the worker has handled that many events, good or bad."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            counts = self.worker.face.counts()
            if counts and counts.handled >= handled:
                return counts
            self.worker.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{counts} instead of {handled} events:\n{self.worker.last_words()}")
            time.sleep(0.1)

    def operate(self, record: dict[str, Any] | bytes) -> None:
        """Put a record on the operator topic."""
        value = record if isinstance(record, bytes) else orjson.dumps(record)
        self.producer.produce(self.settings.topic(TopicName.OPERATOR), value, partition=0)
        self.producer.flush()

    def read(self, name: TopicName) -> list[Record]:
        """Everything on one of our topics."""
        with KafkaRecords(self.settings.broker, self.settings.topic(name)) as topic:
            return topic.read_to_end()

    def read_until(self, name: TopicName, count: int) -> list[Record]:
        """The first records of a topic, once there are ``count`` of them."""
        with KafkaRecords(self.settings.broker, self.settings.topic(name)) as topic:
            return topic.read_until(lambda records: len(records) >= count, TIMEOUT_S)

    def decisions(self) -> list[Decision]:
        """Every decision ever made here."""
        return [msgspec.json.decode(record.value or b"", type=Decision) for record in self.read(TopicName.DECISION_LOG)]


@contextmanager
def deployment(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    """Start the worker of a deployment whose topics exist."""
    producer = Producer(
        {
            "bootstrap.servers": settings.broker,
            "partitioner": "murmur2",
            "enable.idempotence": not settings.embedded,
            "message.max.bytes": 12 << 20,
            "linger.ms": 5,
            "log_level": 0,
        }
    )
    with running_worker(settings, tmp_path / "worker.log") as worker:
        yield Deployment(settings, worker, producer)


def run_worker(settings: Settings) -> "subprocess.CompletedProcess[str]":
    """Run a worker that is to end by itself."""
    given = {f"STILLWATCH_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_none=True).items()}
    return subprocess.run(
        [sys.executable, "-m", "stream_app", "worker"],
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
