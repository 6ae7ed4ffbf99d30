"""States from past events: the first live hour is judged as by one who saw the day, and nothing past is decided."""

from collections.abc import Iterable
from typing import Any

import msgspec
import orjson
from msgspec import UNSET

from stream_app.backfills import Backfill
from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.campaigns.records import Status
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, EmitDecision, EmitSignal, EmitVerdict
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy, load_policy
from stream_app.detection.records import Record
from stream_app.detection.state import PARTITION_KEY, decode_partition, decode_tenant
from stream_app.policies import DEFAULT_POLICY
from tests.unit.campaign_worlds import campaign_events
from tests.unit.streams import (
    BEGIN_MS,
    POLICY,
    decisions,
    evidence_of,
    in_order,
    new_detector,
    record,
    records,
    steady,
    to_ms,
)

HOUR, DAY = 3_600, 86_400
FIRST_LIVE = 700  # offset at which the worker begins to read


def day() -> list[dict[str, Any]]:
    """A day of one busy tenant, one ordinary one, and one that ends it in a surge."""
    return in_order(
        steady(0, DAY, 3, "busy"),
        steady(0, DAY, 0.5, "calm"),
        steady(DAY - 6 * HOUR, DAY, 2, "wild"),
        steady(DAY - 300, DAY, 400, "wild", "surge"),
    )


def first_hour() -> list[dict[str, Any]]:
    return in_order(
        steady(DAY, DAY + HOUR, 3, "busy"),
        steady(DAY, DAY + HOUR, 0.5, "calm"),
        steady(DAY + 600, DAY + 1_200, 130, "busy", "surge"),
        steady(DAY + 600, DAY + 1_200, 130, "stranger", "surge"),
    )


def filled(
    events: list[dict[str, Any]], starts: tuple[int, ...] = (FIRST_LIVE,), until_ms: int | None = None
) -> Backfill:
    past = Backfill(POLICY, ("requests", "signals"), starts, 0, until_ms)
    for event in events:
        past.take(orjson.dumps(event))
    past.finish()
    return past


def without_places(found: list[Decision]) -> list[tuple[Any, ...]]:
    """Decisions without what names offsets, which are others in the two runs."""
    return [
        (d.decision_id, d.key, d.action, d.reasons, d.counterfactual, d.issued_at, d.expires_at, d.limit, d.harm_budget)
        for d in found
    ]


def test_the_first_hour_is_decided_as_by_one_who_saw_the_day() -> None:
    calm_day = [event for event in day() if event["tenant_id"] != "wild"]
    past = filled(calm_day)
    live = new_detector(encoded=past.states[0])
    assert live.position == FIRST_LIVE
    made = decisions(live.handle(records(first_hour(), FIRST_LIVE)))
    whole = new_detector()
    whole.handle(records(calm_day))
    expected = decisions(whole.handle(records(first_hour(), len(calm_day))))
    assert {decision.tenant_id for decision in made} == {"busy"}
    assert without_places(made) == without_places(expected)
    blind = decisions(new_detector().handle(records(first_hour())))
    assert without_places(blind) != without_places(made)


def test_evidence_names_only_records_of_the_live_topic() -> None:
    past = filled([event for event in day() if event["tenant_id"] != "wild"])
    for decision in decisions(new_detector(encoded=past.states[0]).handle(records(first_hour(), FIRST_LIVE))):
        assert all(source.first_offset >= FIRST_LIVE for source in evidence_of(decision).sources)


def test_nobody_stands_on_a_rung_and_whoever_goes_on_is_decided_on_anew() -> None:
    past = filled(day())
    assert past.past.decisions > 0
    encoded = past.states[0]
    for name, state in encoded.items():
        if name != PARTITION_KEY:
            assert decode_tenant(state).standing is None
    assert decode_partition(encoded[PARTITION_KEY]).harm.denials == {}
    live: Detector = new_detector(encoded=encoded)
    made = decisions(live.handle(records(steady(DAY, DAY + 60, 400, "wild", "on"), FIRST_LIVE)))
    assert made[0].key == "tenant:wild"
    assert made[0].issued_at >= "2026-01-02T00:00:00"
    assert made[0].action != "allow"


def test_what_workers_read_themselves_is_left_out() -> None:
    events = steady(0, HOUR, 6)
    past = filled(events, until_ms=BEGIN_MS + HOUR // 2 * 1000).past
    assert (past.events, past.left_out, past.refused) == (180, 180, 0)


def test_everybody_s_state_is_in_the_own_partition() -> None:
    past = filled(day(), starts=(3, 5, 8))
    for number, states in enumerate(past.states):
        own = decode_partition(states[PARTITION_KEY])
        assert own.position == past.starts[number]
        assert {partition_of(name, 3) for name in states if name != PARTITION_KEY} <= {number}
    assert past.past.tenants == 3


def test_the_topic_s_own_records_keep_their_offsets() -> None:
    past = Backfill(POLICY, ("requests", "signals"), [1_000], 0, None)
    for number, event in enumerate(steady(0, HOUR, 6)):
        past.take_record(0, record(100 + number, event))
    past.take_record(0, Record(999, 0, b"nonsense", {}))
    past.finish()
    assert (past.past.events, past.past.refused) == (360, 1)
    assert decode_tenant(past.states[0]["acme"]).last_offset == 459
    assert decode_partition(past.states[0][PARTITION_KEY]).position == 1_000


def test_unreadable_values_are_counted() -> None:
    past = Backfill(POLICY, ("requests", "signals"), [0], 0, None)
    for value in (b"{}", b"[]", b"\xff", b"1"):
        past.take(value)
    assert past.past.refused == 4


class TwoStages:
    """Both stages at work on states that a backfill has left, over events as they come."""

    def __init__(self, past: Backfill, rules: Policy) -> None:
        number = len(past.states)
        self._detectors = [Detector("requests", n, number, rules, states) for n, states in enumerate(past.states)]
        for detector in self._detectors:
            detector.has_campaigns = True
        self.campaigns = CampaignDetector("signals", 0, rules, past.campaign_states)
        self.decided: list[Decision] = []

    def take(self, fields: dict[str, Any]) -> None:
        owner = self._owner(fields["tenant_id"])
        self._perform(owner.handle([record(owner.position, fields)]))

    def _owner(self, tenant_id: str) -> Detector:
        return self._detectors[partition_of(tenant_id, len(self._detectors))]

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, EmitDecision):
                self.decided.append(effect.decision)
            elif isinstance(effect, EmitSignal):
                signal = Record(self.campaigns.position, 0, msgspec.json.encode(effect.signal), {})
                self._perform(self.campaigns.handle([signal]))
            elif isinstance(effect, EmitVerdict):
                self._perform(self._owner(effect.verdict.tenant_id).obey(effect.verdict))


def test_a_campaign_of_past_logs_is_known_and_acted_on_from_the_first_live_hour_on() -> None:
    rules = load_policy(DEFAULT_POLICY.read_text().replace("mode: shadow", "mode: enforced"), "test")
    events = list(campaign_events())
    begins = events[len(events) * 4 // 5]["time"]
    past = Backfill(rules, ("requests", "signals"), [0, 0], 0, None)
    for fields in (one for one in events if one["time"] < begins):
        past.take(orjson.dumps(fields))
    past.finish()
    live = TwoStages(past, rules)
    (known,) = live.campaigns.stage.campaigns
    assert known.status is Status.CONFIRMED
    assert len(known.members) > 100
    for fields in (one for one in events if one["time"] >= begins):
        live.take(fields)
    since_ms = to_ms(begins)
    soon = [one for one in live.decided if one.campaign_id and to_ms(one.issued_at) < since_ms + HOUR * 1000]
    assert {one.campaign_id for one in live.decided} - {UNSET} == {known.campaign_id}
    assert len({one.tenant_id for one in soon}) > 50
    assert {Action.THROTTLE, Action.BLOCK} & {one.action for one in soon}
    assert {one.tenant_id for one in soon} <= {*known.members, *live.campaigns.stage.campaigns[0].members}
