"""The operator topic for those who tell Stillwatch something: the command line, the console."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import UNSET

from stream_app.adapters.admission import BrokerError, check_admission
from stream_app.adapters.clients import client_config
from stream_app.adapters.decision_log import read_records
from stream_app.adapters.operator_signatures import operator_headers
from stream_app.detection.decode import Rejected
from stream_app.detection.operators import Ignored, Instruction, OperatorRecord, RecordType, parse_operator
from stream_app.settings import Settings
from stream_app.signatures import KeyFileError
from stream_app.topology import TopicName

#: A live broker acknowledges within milliseconds; a person waits no longer to hear that none does.
ACKNOWLEDGED_S = 10.0


class PublishError(Exception):
    """A record has not been written, as far as we know; the message says why in one line."""


class InvalidRecordError(PublishError):
    """No worker would follow the record, which is why it was not written."""


def new_record(
    kind: RecordType,
    *,
    by: str,
    reason: str,
    subject: str | None = None,
    expires_at: datetime | None = None,
    body: dict[str, Any] | None = None,
) -> OperatorRecord:
    """A record that was ordered now, with an id of its own; ``subject`` is a control topic key or ``campaign:ID``."""
    return OperatorRecord(
        id=str(uuid4()),
        type=kind.value,
        reason=reason,
        by=by,
        at=datetime.now(UTC),
        subject=UNSET if subject is None else subject,
        expires_at=UNSET if expires_at is None else expires_at,
        body=UNSET if body is None else body,
    )


def check_record(record: OperatorRecord) -> Instruction:
    """What workers will make of a record; raises ``InvalidRecordError`` when they would refuse or leave it alone."""
    instruction = parse_operator(msgspec.json.encode(record))
    if isinstance(instruction, Rejected):
        raise InvalidRecordError("; ".join(instruction.detail.splitlines()))
    if isinstance(instruction, Ignored) and record.type != RecordType.INDICATORS:
        raise InvalidRecordError(f"nobody would act upon a {record.type} of {record.subject or 'nobody'!r}")
    return instruction


def publish(settings: Settings, record: OperatorRecord) -> int:
    """Write a record that can be followed, and wait until it is kept; its offset.

    Signed if the settings name a key. Blocks up to fifteen seconds. Raises ``InvalidRecordError`` before anything is
    sent, ``PublishError`` when the broker does not take it.
    """
    check_record(record)
    key, value = record.subject or record.type, msgspec.json.encode(record)
    outcomes: list[tuple[KafkaError | None, Message]] = []
    try:
        headers = operator_headers(settings, key, value)
        check_admission(settings)
        producer = Producer(client_config(settings) | {"acks": "all", "message.timeout.ms": int(ACKNOWLEDGED_S * 1000)})
        producer.produce(
            settings.topic(TopicName.OPERATOR),
            value,
            key=key,
            headers=headers,
            on_delivery=lambda error, message: outcomes.append((error, message)),
        )
        producer.flush(ACKNOWLEDGED_S + 1)
    except (BrokerError, KeyFileError) as error:
        raise PublishError(str(error)) from error
    except KafkaException as error:
        raise PublishError(f"{settings.broker}: {error.args[0].str()}") from error
    if not outcomes:
        raise PublishError(f"{settings.broker} has not answered within {ACKNOWLEDGED_S:.0f} s")
    failure, message = outcomes[0]
    if failure is not None and failure.code() == KafkaError._MSG_TIMED_OUT:
        topic = settings.topic(TopicName.OPERATOR)
        raise PublishError(f"{settings.broker} took nothing for {topic} within {ACKNOWLEDGED_S:.0f} s; does it exist?")
    if failure is not None:
        raise PublishError(f"{settings.broker}: {failure.str()}")
    return message.offset() or 0


class WrittenRecord(NamedTuple):
    """What the operator topic holds at an offset, understood or refused."""

    offset: int
    instruction: Instruction | Rejected


def read_operator_records(settings: Settings) -> Iterator[WrittenRecord]:
    """The operator topic from its beginning to its end, forged records as empty ones.

    Raises ``DecisionLogError`` when it cannot be read.
    """
    for record in read_records(settings, TopicName.OPERATOR):
        yield WrittenRecord(record.offset, parse_operator(record.value))
