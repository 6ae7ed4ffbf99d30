"""Room beforehand: the cheap one of a newcomer is the one that a look would make."""

import pytest

from stream_app.detection.explanations import Cause
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.looks import look, make_first_room
from stream_app.detection.state import PartitionState, Watch, decode_tenant
from stream_app.detection.windows import MINUTE_MS, PANE_MS
from tests.unit.streams import BEGIN_MS, POLICY, EventFields, event, new_detector, records


def newcomer(*events: EventFields) -> Tenant:
    detector = new_detector()
    detector.handle(records(events))
    encoded = detector.take_changes()["acme"]
    assert encoded is not None
    return Tenant("acme", decode_tenant(encoded))


@pytest.mark.parametrize("requests", [1, 7, 50])
def test_a_newcomers_first_room_is_what_a_look_gives_as_long_as_no_floor_is_reached(requests: int) -> None:
    events = [event(0.1 * number, input_tokens=900, status_code=404) for number in range(requests)]
    cheap, looked = newcomer(*events), newcomer(*events)
    cause = Cause("t", 0, requests, BEGIN_MS + PANE_MS - 1, BEGIN_MS // PANE_MS, "e")
    look(looked, POLICY, PartitionState(), cause, "one")
    is_made = make_first_room(cheap, POLICY)
    assert is_made is (requests < 50)
    assert is_made is not looked.has_levels
    if is_made:
        assert (cheap.room, cheap.holds_until_ms) == (looked.room, looked.holds_until_ms)


def test_whoever_has_a_past_or_a_watch_is_looked_at() -> None:
    assert not make_first_room(newcomer(event(0), event(11)), POLICY)
    assert not make_first_room(newcomer(event(0), event(95)), POLICY)
    watched = newcomer(event(0))
    watched.state.watches["tenant:acme"] = Watch("asked for", BEGIN_MS + MINUTE_MS)
    assert not make_first_room(watched, POLICY)
