"""Streams with campaigns: repeatable, within the contract, in order, with the campaign its labels name."""

from collections import Counter
from datetime import UTC, datetime
from itertools import islice

import msgspec
import pytest

from stream_app.detection.events import Event
from stream_app.simulate import SCENARIOS, Stream

END = datetime(2025, 6, 2, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return SCENARIOS["distillation"](5, 0.03, END)


@pytest.fixture(scope="module")
def events(stream: Stream) -> list[Event]:
    return [msgspec.convert(event, Event) for event in stream.events()]


def test_events_are_in_order_of_event_time(events: list[Event]) -> None:
    times = [event.time for event in events]
    assert times == sorted(times)
    assert times[-1] <= END
    assert len({event.id for event in events}) == len(events)


def test_a_stream_can_be_read_twice(stream: Stream) -> None:
    assert list(islice(stream.events(), 500)) == list(islice(stream.events(), 500))


def test_labels_name_every_account_and_when_it_began(stream: Stream, events: list[Event]) -> None:
    for _ in stream.events():
        pass
    labels = list(stream.labels())
    roles = Counter(label["role"] for label in labels)
    assert roles["campaign"] == 30
    assert roles["benign"] > 300
    assert {(event.tenant_id, event.account_id) for event in events} <= {
        (label["tenant_id"], label["account_id"]) for label in labels
    }
    begun = [label["first_campaign_time"] for label in labels if "first_campaign_time" in label]
    (described,) = stream.scenario()["campaigns"]  # type: ignore[misc]
    assert min(begun) == described["first_extraction_time"]  # type: ignore[type-var]
