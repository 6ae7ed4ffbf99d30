"""Events of a log to the requests topic, and what gives none to the dead letters."""

from collections.abc import Iterable, Set
from datetime import UTC, datetime

import msgspec
import orjson
from confluent_kafka import KafkaError, Message

from stream_app.gateways.events import Mapped, Unmapped
from stream_app.gateways.logs import Line
from stream_app.gateways.publishing import Headers, event_headers, new_producer
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: A broker that has acknowledged nothing for so long is lost; a log can be read again.
ACKNOWLEDGED_S = 30.0


class SendError(Exception):
    """The broker did not take what was sent; the message is one line."""


class Sender:
    """Sends what a log's lines were mapped to, as fast as the broker takes it; raises ``SendError``.

    Dead letters name the line and the fault. They hold nothing of the line itself, which may hold a prompt. With
    ``places`` only what lies there is sent, by the names that dead letters give them.
    """

    def __init__(self, settings: Settings, source: str, places: Set[str] | None = None) -> None:
        self.events = 0
        self.refused = 0
        self._source = source
        self._places = places
        self._broker = settings.broker
        self._requests = settings.topic(TopicName.REQUESTS)
        self._dead_letters = settings.topic(TopicName.DEAD_LETTERS)
        self._producer = new_producer(settings, **{"message.timeout.ms": int(ACKNOWLEDGED_S * 1000)})
        self._failure: str | None = None

    def send(self, line: Line, found: Iterable[Mapped]) -> None:
        """Send all that one line was mapped to."""
        for index, mapped in enumerate(found):
            place = f"{line.source}/{line.partition}/{line.offset}/{index}"
            if self._places is not None and place not in self._places:
                continue
            if isinstance(mapped, Unmapped):
                self.refused += 1
                self._produce(self._dead_letters, place, _dead_letter(line, index, mapped), [])
            else:
                self.events += 1
                value = msgspec.json.encode(mapped)
                self._produce(self._requests, mapped.tenant_id, value, event_headers(mapped, self._source))

    def finish(self) -> None:
        """Wait until the broker has everything."""
        left = self._producer.flush(ACKNOWLEDGED_S)
        if left or self._failure:
            raise SendError(f"{self._broker}: {self._failure or f'{left:,} records were not acknowledged'}")

    def _produce(self, topic: str, key: str, value: bytes, headers: Headers) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key=key.encode(), headers=headers, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)
        if self._failure:
            raise SendError(f"{self._broker}: {self._failure}")

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failure = error.str()


def _dead_letter(line: Line, index: int, fault: Unmapped) -> bytes:
    return orjson.dumps(
        {
            "reason": fault.reason,
            "detail": fault.detail,
            "topic": line.source,
            "partition": line.partition,
            "offset": line.offset,
            "index": index,
            "at": datetime.now(UTC).isoformat(),
        }
    )
