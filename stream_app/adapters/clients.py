"""librdkafka clients: what every one of them is configured with, and how a partition is read to its end."""

from collections.abc import Iterator
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_app.adapters.credentials import librdkafka_security
from stream_app.detection.records import Record
from stream_app.detection.state import StateError
from stream_app.settings import Settings

#: A broker that has not answered by then is asked again.
ANSWER_S = 5.0
#: Records taken from librdkafka's queue at once.
BATCH = 5_000
#: The embedded broker answers an empty fetch only when its waiting time is over; a real one as soon as something comes.
_EMBEDDED_FETCH_WAIT_MS, _FETCH_WAIT_MS = 100, 500

#: librdkafka repeats many times what the broker watch says once; only what is fatal is left to it. (It could log to
#: Python's logging, but then calls back from its threads, and deadlocks with calls that wait for one of its locks.)
_LOG_LEVEL = 0


class AbandonedError(Exception):
    """What was going on is no longer wanted: a rebalance or a stop has begun."""


def client_config(settings: Settings) -> dict[str, Any]:
    """Configuration that producers and consumers share. Raises ``CredentialsError``."""
    config = {"bootstrap.servers": settings.broker, "client.id": "stillwatch", "log_level": _LOG_LEVEL}
    return config | librdkafka_security(settings)


def new_consumer(settings: Settings, **config: Any) -> Consumer:
    """A consumer that joins no group: it reads what it is assigned, committed records only."""
    wait_ms = _EMBEDDED_FETCH_WAIT_MS if settings.embedded else _FETCH_WAIT_MS
    return Consumer(
        client_config(settings)
        | {
            "group.id": settings.stage_group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": wait_ms,
            "queued.max.messages.kbytes": 16_384,
        }
        | config
    )


def read_to_end(
    settings: Settings, topic: str, partition: int, start: int, abandoned: Event
) -> Iterator[tuple[list[Message], int, int]]:
    """Batches of a partition that nobody else writes to, each with the next offset to read and the end.

    Begins at ``start``, or where the log begins if that is later; the last batch is empty and its offset is the end,
    markers of transactions included. Raises ``AbandonedError``, and ``StateError`` when the log ends before ``start``.
    """
    consumer = new_consumer(settings, **{"enable.partition.eof": True})
    try:
        begin, end = _watermarks(consumer, TopicPartition(topic, partition), abandoned)
        if start > end:
            raise StateError(
                f"{topic}/{partition} ends at {end}, before position {start} that the state knows of: it was made anew "
                "or cut off. Nothing is guessed: make the state topic anew, too"
            )
        consumer.assign([TopicPartition(topic, partition, max(start, begin))])
        while True:
            batch, eof = _next_batch(consumer, abandoned)
            if batch:
                yield batch, (batch[-1].offset() or 0) + 1, end
            if eof is not None:
                yield [], eof, end
                return
    finally:
        consumer.close()


def _watermarks(consumer: Consumer, place: TopicPartition, abandoned: Event) -> tuple[int, int]:
    while True:
        try:
            begin, end = consumer.get_watermark_offsets(place, timeout=ANSWER_S)
        except KafkaException:
            if abandoned.wait(0.2):
                raise AbandonedError from None
        else:
            return begin, end


def _next_batch(consumer: Consumer, abandoned: Event) -> tuple[list[Message], int | None]:
    """Messages, and the end offset if it was reached; without news, one look at ``abandoned`` every 200 ms."""
    first = consumer.poll(0.2)
    if abandoned.is_set():
        raise AbandonedError
    found = [] if first is None else [first, *consumer.consume(BATCH, 0)]
    eof = next((m.offset() for m in found if _is_end(m)), None)
    return [message for message in found if message.error() is None], eof


def _is_end(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    if error.retriable():
        return False
    raise KafkaException(error)


def record_of(message: Message) -> Record:
    """A record of the core from one of the client."""
    headers = message.headers()
    return Record(
        message.offset() or 0,
        message.timestamp()[1],
        message.value(),
        {name: value or b"" for name, value in headers} if headers else {},  # type: ignore[str-unpack, misc]
    )
