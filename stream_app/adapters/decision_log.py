"""Every decision ever made, from the decision log topic or a replay's ``decisions.jsonl``, and operators' words."""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from stream_app.adapters.admission import BrokerError, check_admission
from stream_app.adapters.credentials import python_security
from stream_app.adapters.erasures import Erasures
from stream_app.adapters.operator_signatures import operator_signatures
from stream_app.detection.decisions import Decision
from stream_app.detection.operators import OperatorWord, parse_operator
from stream_app.settings import Settings
from stream_app.signatures import KeyFileError
from stream_app.signed_records import ControlRecord
from stream_app.topology import TopicName

#: A broker that has not answered by then counts as lost.
ANSWER_TIMEOUT_MS = 5_000
#: A fetch may take as long as the client's own request timeout; a log that stands still longer will not go on.
STALL_S = 30.0
#: Requests of this version are answered by Kafka 2.0 to 4.1 and by the embedded broker, which fails the probe that
#: kafka-python would make without it.
API_VERSION = (2, 0)

_decoder = msgspec.json.Decoder(Decision)
_log = logging.getLogger(__name__)


class DecisionLogError(Exception):
    """The log cannot be read; the message says why in one line."""


class Unreadable(NamedTuple):
    """A record that is no decision v1, where it lies and what is wrong with it."""

    place: str
    problem: str


class LogRecord(NamedTuple):
    """A record and where it lies; ``timestamp_ms`` is Kafka's."""

    key: bytes | None
    value: bytes | None
    place: str
    offset: int
    timestamp_ms: int
    headers: Sequence[tuple[str, bytes]]


def read_topic(settings: Settings) -> Iterator[Decision | Unreadable]:
    """The decision log from its beginning to the end it has when this is called; oldest first within a partition.

    Holds one fetch in memory. Raises ``DecisionLogError`` when the broker or the topic is not there.
    """
    for record in read_records(settings, TopicName.DECISION_LOG):
        if record.value is not None:
            yield _decode(record.value, record.place)


def read_instructions(settings: Settings) -> Iterator[OperatorWord]:
    """The operator records that can be followed, in order; raises ``DecisionLogError`` as ``read_topic`` does."""
    for record in read_records(settings, TopicName.OPERATOR):
        instruction = parse_operator(record.value)
        if isinstance(instruction, OperatorWord):
            yield instruction


def read_records(settings: Settings, name: TopicName) -> Iterator[LogRecord]:
    """One of our topics as ``read_topic`` reads the decision log, without the past of tenants that were erased.

    Operator records that no trusted key has signed have no value.
    """
    consumer = connect(settings)
    try:
        # A consumer that already reads another topic is not told that it may not read this one: it waits.
        consumer.end_offsets([TopicPartition(settings.topic(name), 0)], timeout_ms=ANSWER_TIMEOUT_MS)
        if name is TopicName.OPERATOR:
            yield from _operator_records(consumer, settings)
            return
        erasures = Erasures(record.value for record in _operator_records(consumer, settings))
        for record in _read(consumer, settings.topic(name)):
            if not erasures.hides(name, record.key, record.value, record.timestamp_ms):
                yield record
    except (KafkaError, OSError) as error:
        raise DecisionLogError(f"{settings.broker}: {_line(error)}") from error
    except KeyFileError as error:
        raise DecisionLogError(str(error)) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=1_000)


def read_erasures(settings: Settings) -> Erasures:
    """Who was erased so far; raises ``DecisionLogError`` as ``read_topic`` does."""
    return Erasures(record.value for record in read_records(settings, TopicName.OPERATOR))


def read_file(path: Path) -> Iterator[Decision | Unreadable]:
    """The decisions in a file of JSON lines; raises ``DecisionLogError`` when it cannot be read."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if value := line.strip():
                    yield _decode(value, f"{path}, line {number}")
    except OSError as error:
        raise DecisionLogError(f"{path}: {error.strerror or error}") from error


def connect(settings: Settings) -> KafkaConsumer:
    """A consumer without a group, of committed records only; raises ``DecisionLogError`` when we are not let in."""
    try:
        check_admission(settings)
    except BrokerError as error:
        raise DecisionLogError(str(error)) from error
    return KafkaConsumer(
        bootstrap_servers=[server.strip() for server in settings.broker.split(",")],
        api_version=API_VERSION,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        allow_auto_create_topics=False,
        max_poll_records=5_000,
        fetch_max_wait_ms=100,  # the embedded broker answers no sooner, whatever comes in
        metrics_enabled=False,
        **python_security(settings),
    )


def _operator_records(consumer: KafkaConsumer, settings: Settings) -> Iterator[LogRecord]:
    signatures = operator_signatures(settings)
    forged = 0
    for record in _read(consumer, settings.topic(TopicName.OPERATOR)):
        content = ControlRecord(record.key or b"", record.value)
        if signatures is not None and signatures.refusal(record.offset, content, record.headers):
            forged += 1
            yield record._replace(value=None)
        else:
            yield record
    if forged:
        _log.warning("%d forged operator records ignored", forged)


def _read(consumer: KafkaConsumer, topic: str) -> Iterator[LogRecord]:
    # The first question is one with a deadline: bootstrap() and partitions_for_topic() wait for ever.
    consumer.end_offsets([TopicPartition(topic, 0)], timeout_ms=ANSWER_TIMEOUT_MS)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    ends = consumer.end_offsets(partitions, timeout_ms=ANSWER_TIMEOUT_MS)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    deadline = time.monotonic() + STALL_S
    while left := [part for part in partitions if _position(consumer, part) < ends[part]]:
        fetched = consumer.poll(timeout_ms=200)
        if fetched:
            deadline = time.monotonic() + STALL_S
        elif time.monotonic() > deadline:
            raise KafkaError(f"{topic} stands still {STALL_S:.0f} s before the end of partition {left[0].partition}")
        for part, records in fetched.items():
            for record in records:
                if record.offset < ends[part]:
                    place = f"{topic}, partition {part.partition}, offset {record.offset}"
                    at = (record.offset, record.timestamp, record.headers)
                    yield LogRecord(record.key, record.value, place, *at)


def _position(consumer: KafkaConsumer, partition: TopicPartition) -> int:
    return consumer.position(partition, timeout_ms=ANSWER_TIMEOUT_MS) or 0


def _decode(value: bytes, place: str) -> Decision | Unreadable:
    try:
        decision = _decoder.decode(value)
        for time_text in _times(decision):
            datetime.fromisoformat(time_text)
    except (ValueError, RecursionError) as error:
        return Unreadable(place, (str(error) or type(error).__name__).splitlines()[0])
    return decision


def _times(decision: Decision) -> list[str]:
    """The times of a decision; its type checks their form, but not that the date exists."""
    evidence = decision.evidence
    seen = [] if evidence is msgspec.UNSET else [evidence.first_time, evidence.last_time]
    return [decision.issued_at, decision.expires_at, *seen]


def _line(error: Exception) -> str:
    if isinstance(error, KafkaTimeoutError):
        return f"no answer within {ANSWER_TIMEOUT_MS // 1000} s; is the broker up, and does the topic exist?"
    return (str(error) or type(error).__name__).splitlines()[0]
