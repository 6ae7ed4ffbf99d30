"""Requests that are already on the topic: those of one tenant around a decision, read again."""

from collections.abc import Callable, Iterator
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import UNSET, Struct

from stream_app.adapters.clients import ANSWER_S, BATCH, new_consumer
from stream_app.detection.decisions import Decision
from stream_app.detection.partitions import partition_of
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: Records of the partition read before and after the evidence: some ten seconds' reading, hours of a busy partition.
MAX_BEFORE, MAX_AFTER = 500_000, 100_000
#: A partition that brings nothing for so long will not go on.
_STALL_S = 15.0

OnProgress = Callable[[int, int], None]


class RecordsGoneError(Exception):
    """The records cannot be read again; the message says why in one line."""


class Span(Struct, frozen=True):
    """Offsets of one partition to read, the last one not included; ``is_whole`` when nothing before them is missing."""

    topic: str
    partition: int
    first: int
    end: int
    is_whole: bool


def find_span(settings: Settings, decision: Decision) -> Span:
    """Where the tenant's events around a decision lie; raises ``RecordsGoneError`` when they do no more."""
    consumer = new_consumer(settings)
    try:
        return _span(consumer, settings, decision)
    except KafkaException as error:
        raise RecordsGoneError(f"{settings.broker}: {_line(error)}") from error
    finally:
        consumer.close()


def find_signals(settings: Settings, since_ms: int) -> Span:
    """Where the signals since a time lie; raises ``RecordsGoneError`` when there are none.

    By the time they were written, which is never before that of their events.
    """
    topic = settings.topic(TopicName.SIGNALS)
    consumer = new_consumer(settings)
    try:
        begin, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=ANSWER_S)
        (since,) = consumer.offsets_for_times([TopicPartition(topic, 0, since_ms)], timeout=ANSWER_S)
        first = since.offset if since.error is None and since.offset >= begin else begin
    except KafkaException as error:
        raise RecordsGoneError(f"{settings.broker}: {topic}: {_line(error)}") from error
    finally:
        consumer.close()
    if begin >= end:
        raise RecordsGoneError(f"{topic} holds no signal any more")
    return Span(topic, 0, first, end, is_whole=first == 0)


def find_spans(settings: Settings, name: TopicName, since_ms: int, most: int) -> list[Span]:
    """Where the records of a topic since a time lie, in each partition; of more than ``most`` the newest.

    By the time they were written. Raises ``RecordsGoneError`` when the topic cannot be read.
    """
    topic, consumer = settings.topic(name), new_consumer(settings)
    try:
        found = consumer.list_topics(topic, timeout=ANSWER_S).topics.get(topic)
        places = [TopicPartition(topic, number, since_ms) for number in sorted(found.partitions)] if found else []
        spans = []
        for since in consumer.offsets_for_times(places, timeout=ANSWER_S):
            begin, end = consumer.get_watermark_offsets(TopicPartition(topic, since.partition), timeout=ANSWER_S)
            found_first = since.offset if since.error is None and since.offset >= begin else begin
            first = max(found_first, end - most // len(places))
            spans.append(Span(topic, since.partition, first, end, is_whole=first == found_first))
    except KafkaException as error:
        raise RecordsGoneError(f"{settings.broker}: {topic}: {_line(error)}") from error
    finally:
        consumer.close()
    return spans


def read_span(settings: Settings, span: Span, tenant_id: str, on_progress: OnProgress) -> Iterator[bytes]:
    """Values of a span's records that are, or may be, the tenant's, in order; memory is that of one batch.

    Without a tenant, everybody's. ``on_progress`` is told how many offsets of how many are behind. Raises
    ``RecordsGoneError``.
    """
    consumer = new_consumer(settings, **{"enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(span.topic, span.partition, span.first)])
        yield from _read(consumer, span, tenant_id.encode(), on_progress)
    except KafkaException as error:
        raise RecordsGoneError(f"{settings.broker}: {_line(error)}") from error
    finally:
        consumer.close()


def _span(consumer: Consumer, settings: Settings, decision: Decision) -> Span:
    evidence = decision.evidence
    source = evidence.sources[0] if evidence is not UNSET and evidence.sources else None
    topic = source.topic if source else settings.topic(TopicName.REQUESTS)
    found = consumer.list_topics(topic, timeout=ANSWER_S).topics.get(topic)
    partitions = len(found.partitions) if found and found.error is None else 0
    if not partitions:
        raise RecordsGoneError(f"the events are gone: {settings.broker} has no topic {topic}")
    # Without evidence, the revision: it is that of the tenant's newest event, or little above.
    partition = source.partition if source else partition_of(decision.tenant_id, partitions)
    first, last = (source.first_offset, source.last_offset) if source else (decision.revision, decision.revision)
    begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S)
    if begin > last or begin >= end:
        raise RecordsGoneError(
            f"the events are gone: {topic}, partition {partition} begins at offset {begin}, the evidence ends at {last}"
        )
    if source and last >= end:
        raise RecordsGoneError(
            f"{topic}, partition {partition} ends at offset {end}, before the evidence at {last}: it was made anew"
        )
    start = max(begin, first - MAX_BEFORE)
    return Span(topic, partition, start, min(end, max(last, start) + MAX_AFTER), is_whole=start == 0)


def _read(consumer: Consumer, span: Span, tenant_id: bytes, on_progress: OnProgress) -> Iterator[bytes]:
    deadline = monotonic() + _STALL_S
    position = span.first
    while position < span.end:
        for message in consumer.consume(BATCH, 0.2):
            error, offset = message.error(), message.offset() or 0
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    return
                raise KafkaException(error)
            position, deadline = offset + 1, monotonic() + _STALL_S
            if offset >= span.end:
                return
            key, value = message.key(), message.value()
            if value is not None and (key == tenant_id or tenant_id in value):
                yield value
        if monotonic() > deadline:
            raise RecordsGoneError(f"{span.topic}, partition {span.partition} stands still at offset {position}")
        on_progress(position - span.first, span.end - span.first)


def _line(error: KafkaException) -> str:
    cause = error.args[0]
    return str(cause.str() if isinstance(cause, KafkaError) else cause).splitlines()[0]
