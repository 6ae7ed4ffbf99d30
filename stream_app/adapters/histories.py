"""Recorded events of all partitions of a topic, from some hours ago or from the log's beginning up to now."""

import time
from collections.abc import Iterator
from heapq import merge
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_app.adapters.admission import BrokerError, check_admission
from stream_app.adapters.clients import ANSWER_S, BATCH, new_consumer, record_of
from stream_app.adapters.decision_log import read_erasures
from stream_app.adapters.erasures import Erasures
from stream_app.adapters.recorded_events import RecordsGoneError, Span
from stream_app.detection.records import Record
from stream_app.settings import Settings
from stream_app.topology import TopicName

SCHEME = "kafka://"
#: A partition that brings nothing for so long will not go on.
_STALL_S = 15.0
#: Kept in memory of a partition: there is a reader for each, and there may be hundreds.
_QUEUED_KBYTES = 2_048


class HistorySource(NamedTuple):
    """A topic to read: without ``topic`` that of requests, without ``broker`` that of the settings, without ``hours``
    all that is kept.
    """

    broker: str | None
    topic: str | None
    hours: float | None


def parse_source(text: str) -> HistorySource:
    """Read ``kafka://HOST:PORT/TOPIC?hours=24``, of which all but the scheme may be left out; raises ``ValueError``."""
    parts = urlsplit(text)
    if not text.startswith(SCHEME):
        raise ValueError(f"{text!r} does not begin with {SCHEME}")
    asked = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    if unknown := asked.keys() - {"hours"}:
        raise ValueError(f"{text!r}: {', '.join(sorted(unknown))} is not known, only hours")
    hours = float(asked["hours"][-1]) if "hours" in asked else None
    if hours is not None and not 0 < hours < 1e6:
        raise ValueError(f"{text!r}: hours must be above 0")
    return HistorySource(parts.netloc or None, parts.path.strip("/") or None, hours)


def find_spans(settings: Settings, source: HistorySource) -> list[Span]:
    """What there is to read of each partition at this moment; ``is_whole`` where it begins with the first record ever.

    Raises ``RecordsGoneError`` when the broker or the topic is not there.
    """
    topic = source.topic or settings.topic(TopicName.REQUESTS)
    since_ms = None if source.hours is None else round((time.time() - source.hours * 3600) * 1000)
    try:
        check_admission(settings)
        consumer = new_consumer(settings)
    except BrokerError as error:
        raise RecordsGoneError(str(error)) from error
    try:
        found = consumer.list_topics(topic, timeout=ANSWER_S).topics.get(topic)
        if found is None or found.error is not None or not found.partitions:
            raise RecordsGoneError(f"{settings.broker} has no topic {topic}")
        return [_span(consumer, topic, number, since_ms) for number in sorted(found.partitions)]
    except KafkaException as error:
        raise RecordsGoneError(f"{settings.broker}: {topic}: {_line(error)}") from error
    finally:
        consumer.close()


def read_spans(settings: Settings, spans: list[Span]) -> Iterator[tuple[int, Record]]:
    """Records with their partitions, in the order of Kafka's timestamps, within a partition in that of offsets.

    The past of tenants that were erased is left out. Memory: a batch of each partition. Raises ``RecordsGoneError``,
    and ``DecisionLogError`` when the operator topic does not tell who they are.
    """
    erasures = read_erasures(settings)
    streams = [_read(settings, span, erasures) for span in spans if span.first < span.end]
    for _, number, record in merge(*streams, key=itemgetter(0)):
        yield number, record


def _span(consumer: Consumer, topic: str, number: int, since_ms: int | None) -> Span:
    begin, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=ANSWER_S)
    first = begin
    if since_ms is not None:
        (since,) = consumer.offsets_for_times([TopicPartition(topic, number, since_ms)], timeout=ANSWER_S)
        first = since.offset if since.offset >= 0 else _first_since(consumer, topic, number, (begin, end), since_ms)
    return Span(topic, number, first, end, is_whole=first == 0)


def _first_since(consumer: Consumer, topic: str, number: int, bounds: tuple[int, int], since_ms: int) -> int:
    """Where a time begins in a partition of which the broker did not tell; the end when nothing is as new.

    The embedded broker tells of no time. A real one does, so that the first look is the last: its newest is older.
    """
    begin, end = bounds
    middle = end - 1
    while begin < end:
        consumer.assign([TopicPartition(topic, number, middle)])
        message = consumer.poll(ANSWER_S)
        if message is not None and message.error() is None and message.timestamp()[1] < since_ms:
            begin = min((message.offset() or middle) + 1, end)
        else:
            end = middle
        middle = (begin + end) // 2
    return begin


def _read(settings: Settings, span: Span, erasures: Erasures) -> Iterator[tuple[int, int, Record]]:
    config = {"enable.partition.eof": True, "queued.max.messages.kbytes": _QUEUED_KBYTES}
    consumer = new_consumer(settings, **config)
    try:
        consumer.assign([TopicPartition(span.topic, span.partition, span.first)])
        newest_ms, deadline = 0, time.monotonic() + _STALL_S
        while True:
            messages = consumer.consume(BATCH, 0.2)
            for message in messages:
                if _is_end(message) or (message.offset() or 0) >= span.end:
                    return
                record = record_of(message)
                if erasures.hides(TopicName.REQUESTS, message.key(), record.value, record.timestamp_ms):
                    continue
                newest_ms = max(newest_ms, record.timestamp_ms)  # within a partition offsets rule, whatever the times
                yield newest_ms, span.partition, record
            if messages:
                deadline = time.monotonic() + _STALL_S
            elif time.monotonic() > deadline:
                raise RecordsGoneError(f"{span.topic}, partition {span.partition} stands still")
    except KafkaException as error:
        raise RecordsGoneError(f"{settings.broker}: {span.topic}: {_line(error)}") from error
    finally:
        consumer.close()


def _is_end(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    raise KafkaException(error)


def _line(error: KafkaException) -> str:
    cause = error.args[0]
    return str(cause.str() if isinstance(cause, KafkaError) else cause).splitlines()[0]
