"""What the demo looks at from outside: the worker's web face, and the control topic."""

import time
import urllib.error
import urllib.request
from datetime import datetime
from http.client import HTTPException
from threading import Event, Thread
from typing import NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from stream_app.detection.decisions import Decision
from stream_app.limiter.control_topic import API_VERSION

_TIMEOUT_S = 2.0


class Counts(NamedTuple):
    """What a worker has done so far: records by outcome, dead letters, source records that never came, signals sent."""

    applied: int
    repeated: int
    rejected: int
    dead_letters: int
    missed: int
    signals: int = 0

    @property
    def handled(self) -> int:
        """Events that are done with, good or bad."""
        return self.applied + self.repeated + self.rejected


class WorkerFace:
    """Reads a worker's ``/ready`` and ``/metrics``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._address = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        """Whether the worker has its partitions and their state."""
        try:
            with urllib.request.urlopen(f"{self._address}/ready", timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def counts(self) -> Counts | None:
        """Events by outcome and dead letters; ``None`` when the worker does not answer in time."""
        try:
            with urllib.request.urlopen(f"{self._address}/metrics", timeout=_TIMEOUT_S) as answer:  # noqa: S310
                text = answer.read().decode()
        except (OSError, HTTPException):  # half an answer, of a worker that died meanwhile
            return None
        counted: dict[str, int] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.labels.get("outcome", "") if sample.name == "stillwatch_events_total" else sample.name
                counted[name] = counted.get(name, 0) + int(sample.value)
        return Counts(
            **{outcome: counted.get(outcome, 0) for outcome in ("applied", "repeated", "rejected")},
            dead_letters=counted.get("stillwatch_dead_letters_total", 0),
            missed=counted.get("stillwatch_missed_records_total", 0),
            signals=counted.get("stillwatch_signals_total", 0),
        )


class Seen(NamedTuple):
    """A decision when it reached a consumer; ``latency_s`` is from the Kafka timestamp of the record that caused it."""

    decision: Decision
    latency_s: float


class ControlTopicWatch(Thread):
    """Follows the control topic as any consumer would, and keeps every decision with its latency."""

    def __init__(self, broker: str, topic: str, partitions: int) -> None:
        super().__init__(name="control-topic-watch", daemon=True)
        self.seen: list[Seen] = []
        self._broker = broker
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        self._stopping = Event()

    def stop(self) -> None:
        """End following."""
        self._stopping.set()

    def run(self) -> None:
        """Read until stopped."""
        consumer = KafkaConsumer(
            bootstrap_servers=self._broker, api_version=API_VERSION, enable_auto_commit=False, fetch_max_wait_ms=100
        )
        consumer.assign(self._places)
        consumer.seek_to_beginning(*self._places)
        while not self._stopping.is_set():
            for records in consumer.poll(timeout_ms=100).values():
                now_s = time.time()
                for record in records:
                    if record.value is not None:
                        decision = msgspec.json.decode(record.value, type=Decision)
                        self.seen.append(Seen(decision, now_s - _caused_s(dict(record.headers))))
        consumer.close()


def _caused_s(headers: dict[str, bytes]) -> float:
    return datetime.fromisoformat(headers["caused_at"].decode()).timestamp()
