"""Bytes of a record to events: every reason to refuse one, and that nothing raises."""

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_app.detection.decode import EVENT_TYPE, Rejected, RejectReason, decode_record
from stream_app.detection.events import MAX_EVENTS, MAX_MESSAGE_BYTES, Event
from stream_app.detection.records import Record
from tests.unit.streams import dead_letters, event, new_detector, record, to_ms

GOOD = orjson.dumps(event(0))
repeatable = settings(derandomize=True, deadline=None, max_examples=300)


def refused(value: bytes | None, headers: dict[str, bytes] | None = None) -> RejectReason:
    (only,) = decode_record(value, headers or {})
    assert isinstance(only, Rejected)
    assert only.detail
    return only.reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, RejectReason.EMPTY),
        (b"", RejectReason.EMPTY),
        (b"[]", RejectReason.EMPTY),
        (b" [ ] ", RejectReason.EMPTY),
        (b"{", RejectReason.NOT_JSON),
        (b"   ", RejectReason.NOT_JSON),
        (GOOD + b"}", RejectReason.NOT_JSON),
        (b"\xff\xfe", RejectReason.NOT_JSON),
        (GOOD.replace(b"acme-user", b"acme\xff"), RejectReason.NOT_JSON),
        (GOOD.replace(b"acme-user", b"\x00"), RejectReason.NOT_JSON),
        (GOOD.replace(b"acme-user", rb"\ud800"), RejectReason.NOT_JSON),
        (b"[" * 100_000, RejectReason.NOT_JSON),
        (b'{"a":' * 100_000, RejectReason.NOT_JSON),
        (b"null", RejectReason.INVALID),
        (b"3", RejectReason.INVALID),
        (b"{}", RejectReason.INVALID),
        (GOOD.replace(b"200", b'"200"'), RejectReason.INVALID),
        (GOOD.replace(b"acme-user", rb"\u0000"), RejectReason.INVALID),
        (GOOD.replace(b'"tenant_id":"acme"', rb'"tenant_id":"\u0000partition"'), RejectReason.INVALID),
        (b" " * (2 << 20), RejectReason.TOO_LARGE),
        (b"[" + b"1," * MAX_EVENTS + b"1]", RejectReason.TOO_LARGE),
    ],
)
def test_what_is_no_event_is_refused_with_its_reason(value: bytes | None, reason: RejectReason) -> None:
    assert refused(value) == reason


def test_the_largest_allowed_record_is_read() -> None:
    assert isinstance(decode_record(GOOD.ljust(MAX_MESSAGE_BYTES), {})[0], Event)
    assert refused(GOOD.ljust(MAX_MESSAGE_BYTES + 1)) == RejectReason.TOO_LARGE


def test_no_message_holds_more_events_than_an_array_may_have() -> None:
    names = dict.fromkeys(("id", "tenant_id", "account_id", "model"), "a")
    shortest = orjson.dumps(event(0, input_tokens=0, output_tokens=0) | names)
    assert isinstance(decode_record(shortest, {})[0], Event)
    assert MAX_EVENTS * len(shortest + b",") > MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    "headers", [{"ce_type": b"other.v1"}, {"ce_type": b"\xff" * 10_000}, {"ce_id": b"1"}, {"ce_type": b""}]
)
def test_another_cloudevents_type_is_refused(headers: dict[str, bytes]) -> None:
    assert refused(GOOD, headers) == RejectReason.UNKNOWN_TYPE


@pytest.mark.parametrize("headers", [{}, {"ce_type": EVENT_TYPE.encode(), "ce_id": b"1"}, {"traceparent": b"00"}])
def test_our_cloudevents_type_and_plain_producers_are_read(headers: dict[str, bytes]) -> None:
    assert isinstance(decode_record(GOOD, headers)[0], Event)


def test_the_good_events_of_an_array_count_beside_a_bad_one() -> None:
    bad = event(1) | {"status_code": 99}
    first, second, third = decode_record(orjson.dumps([event(0), bad, event(2)]), {})
    assert isinstance(first, Event)
    assert isinstance(third, Event)
    assert isinstance(second, Rejected)
    assert (second.reason, second.index) == (RejectReason.INVALID, 1)


@pytest.mark.parametrize("element", [b"null", b"3", b"[]", rb'{"id":"\u0000"}'])
def test_a_strange_element_costs_only_itself(element: bytes) -> None:
    items = decode_record(b"[" + GOOD + b"," + element + b"]", {})
    assert isinstance(items[0], Event)
    assert isinstance(items[1], Rejected)


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    (item,) = decode_record(GOOD.replace(b"acme-user", rb"\\u0000"), {})
    assert isinstance(item, Event)
    assert item.account_id == r"\u0000"


@given(value=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@example(b"[1e999]")
@repeatable
def test_any_bytes_are_refused_without_an_exception(value: bytes) -> None:
    assert all(isinstance(item, Rejected) for item in decode_record(value, {}))


@given(place=st.integers(0, len(GOOD) - 1), new=st.binary(min_size=0, max_size=6), cut=st.integers(0, 8))
@repeatable
def test_damaged_events_are_read_or_refused_and_leave_the_detector_working(place: int, new: bytes, cut: int) -> None:
    value = GOOD[:place] + new + GOOD[place + cut :]
    detector = new_detector()
    now_ms = to_ms(event(0)["time"])
    damaged = detector.handle([Record(0, now_ms, value, {})])
    assert len(dead_letters(damaged)) == sum(isinstance(item, Rejected) for item in decode_record(value, {})) or (
        dead_letters(damaged)[0].reason in {RejectReason.IN_FUTURE, RejectReason.TOO_OLD}
    )
    detector.take_changes()
    assert dead_letters(detector.handle([record(1, event(1, "other", time=event(0)["time"]))])) in ([], damaged)


@pytest.mark.parametrize(
    ("time", "reason"), [("2026-01-01T00:00:06.001Z", "in_future"), ("2025-12-30T23:00:00Z", "too_old")]
)
def test_impossible_times_are_refused_and_leave_no_trace_of_the_tenant(time: str, reason: str) -> None:
    encoded: dict[str, bytes] = {}
    detector = new_detector(encoded=encoded)
    received_ms = to_ms(event(0)["time"])
    detector.handle([record(0, event(0))])
    (letter,) = dead_letters(detector.handle([record(1, event(0, "late", time=time), timestamp_ms=received_ms + 1000)]))
    assert (letter.reason, letter.offset) == (reason, 1)
    assert set(detector.take_changes()) == {"acme", "\0partition"}


def test_an_array_of_two_tenants_counts_the_first_only() -> None:
    detector = new_detector()
    (letter,) = dead_letters(detector.handle([record(0, event(0), event(0, "other"), event(1))]))
    assert (letter.reason, letter.index) == (RejectReason.MIXED_TENANTS, 1)
    assert detector.take_tally().applied == 2


def test_a_tenant_of_another_partition_is_refused() -> None:
    letters = [
        letter.reason
        for partition in range(4)
        for letter in dead_letters(new_detector(partition=partition, partitions=4).handle([record(0, event(0))]))
    ]
    assert letters == [RejectReason.MISROUTED] * 3
