"""Streams from real traces: whole, in order, within the contract, the same for the same seed."""

from collections import Counter
from itertools import islice, pairwise

import msgspec
import pytest

from stream_app.detection.events import Event
from tests.real_input import MISSING, SLICE_BEGIN_S, azure_events, servegen_events

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@pytest.fixture(scope="module")
def azure() -> list[Event]:
    return [msgspec.convert(event, Event) for event in azure_events()]


@pytest.fixture(scope="module")
def servegen() -> list[Event]:
    return [msgspec.convert(event, Event) for event in servegen_events(1)]


def test_azure_is_whole(azure: list[Event]) -> None:
    assert len(azure) == 28_185
    assert {event.tenant_id for event in azure} == {"azure-code", "azure-conv"}
    assert azure[-1].time.date().isoformat() == "2023-11-16"
    assert 3_000 < (azure[-1].time - azure[0].time).total_seconds() < 3_600


def test_both_together_are_some_300_000_events(azure: list[Event], servegen: list[Event]) -> None:
    assert 280_000 < len(azure) + len(servegen) < 320_000
    assert len({event.tenant_id for event in servegen}) == 65


@pytest.mark.parametrize("name", ["azure", "servegen"])
def test_times_never_go_back_and_ids_are_unique(name: str, request: pytest.FixtureRequest) -> None:
    events: list[Event] = request.getfixturevalue(name)
    assert all(left.time <= right.time for left, right in pairwise(events))
    assert len({event.id for event in events}) == len(events)


def test_servegen_stays_in_its_four_hours(servegen: list[Event]) -> None:
    assert (servegen[-1].time - servegen[0].time).total_seconds() <= 4 * 3_600


def test_sessions_are_kept_whole(servegen: list[Event]) -> None:
    """Of the busiest tenant fewer than 1 % are kept: event by event, hardly any session would keep two requests."""
    busiest = Counter(event.tenant_id for event in servegen).most_common(1)[0][0]
    sizes = Counter(event.session_id for event in servegen if event.tenant_id == busiest)
    assert sum(size for size in sizes.values() if size > 1) > 0.5 * sum(sizes.values())


def test_the_seed_fixes_servegen() -> None:
    first, again, other = (list(islice(servegen_events(seed, SLICE_BEGIN_S, 600), 2_000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_records_hold_the_contract_as_json() -> None:
    decoder = msgspec.json.Decoder(Event)
    for events in (azure_events(), servegen_events(3, SLICE_BEGIN_S, 600)):
        for event in islice(events, 1_000):
            assert decoder.decode(msgspec.json.encode(event)).tenant_id == event["tenant_id"]
