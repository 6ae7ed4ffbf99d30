"""Events to the requests topic, and never a request held up: a bounded queue, a thread, a count of what is lost."""

import queue
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import msgspec
import structlog
from confluent_kafka import KafkaException, Producer

from stream_app.adapters.clients import client_config
from stream_app.detection.decode import EVENT_TYPE
from stream_app.detection.events import Event
from stream_app.gateways.events import Mapped, Unmapped
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: Requests that may wait to be sketched: some seconds of one process's traffic. More would hold their prompts in memory
#: for as long as the machine cannot keep up.
MAX_WAITING = 2_000
#: Events that may wait for the broker, some 1 KB each: minutes of an outage.
MAX_UNSENT = 50_000
#: How often a loss is logged at most, and how long a stopping gateway waits for the broker.
LOG_EVERY_S, STOP_S = 10.0, 5.0

#: As librdkafka takes them.
Headers = list[tuple[str, str | bytes | None]]

_log = structlog.get_logger()


def new_producer(settings: Settings, **config: Any) -> Producer:
    """A producer that puts tenants on the partitions where workers expect them. Raises ``CredentialsError``.

    It compresses with gzip, the one codec that every reader of the topic has without a library more.
    """
    return Producer(
        client_config(settings)
        | {"partitioner": "murmur2", "linger.ms": 50, "compression.type": "gzip", "enable.idempotence": True}
        | config
    )


def event_headers(event: Event, source: str) -> Headers:
    """CloudEvents headers of an event in binary mode."""
    texts = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": source,
        "ce_type": EVENT_TYPE,
        "ce_time": event.time.isoformat(),
        "ce_subject": event.tenant_id,
        "content-type": "application/json",
    }
    return [(name, text.encode()) for name, text in texts.items()]


class EventPublisher:
    """Maps and sends requests in a thread of its own; ``lost`` counts by reason those that gave no event on the topic.

    ``publish`` costs a microsecond, never waits and never raises: what finds the queue full is lost.
    """

    def __init__(self, settings: Settings, source: str) -> None:
        self.sent = 0
        self.lost: dict[str, int] = {}
        self._topic = settings.topic(TopicName.REQUESTS)
        self._source = source
        self._producer = new_producer(settings, **{"queue.buffering.max.messages": MAX_UNSENT})
        self._waiting: queue.Queue[Callable[[], Mapped] | None] = queue.Queue(MAX_WAITING)
        self._logged_at = time.monotonic() - LOG_EVERY_S
        self._thread = Thread(target=self._run, name="event-publisher", daemon=True)
        self._thread.start()

    def publish(self, make: Callable[[], Mapped]) -> None:
        """Send what ``make`` returns, which is called later in the publisher's thread."""
        try:
            self._waiting.put_nowait(make)
        except queue.Full:
            self._lose("queue_full")

    def stop(self) -> None:
        """Send what waits, for at most ``STOP_S``; the rest is lost and counted."""
        try:
            self._waiting.put(None, timeout=STOP_S)
        except queue.Full:
            self._lose("stopped", self._waiting.qsize())
        self._thread.join(STOP_S)
        unsent = self._producer.flush(STOP_S)
        if unsent:
            self._lose("stopped", unsent)

    def _run(self) -> None:
        while True:
            try:
                make = self._waiting.get(timeout=0.1)
            except queue.Empty:
                self._producer.poll(0)
                continue
            if make is None:
                return
            try:
                self._send(make())
            except Exception as error:  # noqa: BLE001 - one odd request must not end the thread, nor show its text
                self._lose(type(error).__name__)
            self._producer.poll(0)

    def _send(self, mapped: Mapped) -> None:
        if isinstance(mapped, Unmapped):
            self._lose(mapped.reason.value, detail=mapped.detail)
            return
        try:
            self._producer.produce(
                self._topic,
                msgspec.json.encode(mapped),
                key=mapped.tenant_id.encode(),
                headers=event_headers(mapped, self._source),
                on_delivery=self._delivered,
            )
        except (BufferError, KafkaException):
            self._lose("broker_away")

    def _delivered(self, error: object, _message: object) -> None:
        if error is None:
            self.sent += 1
        else:
            self._lose("not_acknowledged")

    def _lose(self, reason: str, count: int = 1, detail: str = "") -> None:
        self.lost[reason] = self.lost.get(reason, 0) + count
        now = time.monotonic()
        if now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            _log.warning("requests that workers do not hear of", lost=dict(self.lost), detail=detail, sent=self.sent)
