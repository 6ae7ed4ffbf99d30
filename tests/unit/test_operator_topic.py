"""Operator records as the command line and the console make them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stream_app.adapters.operator_topic import InvalidRecordError, PublishError, check_record, new_record, publish
from stream_app.detection.operators import Feedback, Override, RecordType
from stream_app.settings import Settings


def test_a_new_record_is_what_workers_will_read() -> None:
    until = datetime(2026, 3, 2, tzinfo=UTC)
    record = new_record(RecordType.ALLOW, by="jo", reason="load test", subject="tenant:acme", expires_at=until)
    understood = check_record(record)
    assert isinstance(understood, Override)
    assert understood.record == record
    assert understood.tenant_id == "acme"


def test_two_records_are_never_the_same() -> None:
    one, other = (new_record(RecordType.CONFIRM, by="jo", reason="", subject="campaign:c-1") for _ in range(2))
    assert one.id != other.id
    assert isinstance(check_record(one), Feedback)


@pytest.mark.parametrize(
    ("kind", "subject", "problem"),
    [
        (RecordType.ALLOW, "tenant:acme", "expires_at is required"),
        (RecordType.RELEASE, "acme", "not a control topic key"),
        (RecordType.WATCH, "country:XX", "nobody would act upon a watch of 'country:XX'"),
        (RecordType.POLICY, None, "body.yaml must hold"),
    ],
)
def test_what_nobody_would_follow_is_refused(kind: RecordType, subject: str | None, problem: str) -> None:
    with pytest.raises(InvalidRecordError, match=problem):
        check_record(new_record(kind, by="jo", reason="", subject=subject))


def test_an_invalid_record_is_refused_before_the_broker_is_asked() -> None:
    record = new_record(RecordType.RELEASE, by="jo", reason="x" * 513, subject="tenant:acme")
    with pytest.raises(InvalidRecordError, match="reason"):
        publish(Settings(broker="127.0.0.1:1"), record)


def test_an_order_that_cannot_be_signed_is_not_written(tmp_path: Path) -> None:
    record = new_record(RecordType.RELEASE, by="jo", reason="", subject="tenant:acme")
    with pytest.raises(PublishError, match=r"^key file .*/none: No such file or directory$"):
        publish(Settings(broker="127.0.0.1:1", signing_key=tmp_path / "none"), record)


def test_a_broker_that_is_away_is_told_in_one_line() -> None:
    record = new_record(RecordType.RELEASE, by="jo", reason="", subject="tenant:acme")
    with pytest.raises(PublishError, match=r"^no Kafka broker answers at 127\.0\.0\.1:1 [^\n]*$"):
        publish(Settings(broker="127.0.0.1:1"), record)
