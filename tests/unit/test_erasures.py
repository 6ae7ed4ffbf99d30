"""Erasing a tenant: nothing of it is left in either stage, nothing old comes back, and readers leave its past out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
import pytest

from stream_app.adapters.erasures import Erasures
from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.campaigns.entries import entries_of
from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.decisions import Action
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, EmitCampaign
from stream_app.detection.operators import parse_operator
from stream_app.detection.policy import load_policy
from stream_app.detection.records import Record
from stream_app.detection.signals import Profile, Signal
from stream_app.replay import Replay
from stream_app.topology import TopicName
from tests.unit.campaign_worlds import BEGIN_MS, Crowd
from tests.unit.streams import (
    POLICY,
    POLICY_TEXT,
    by_key,
    decisions,
    in_order,
    instruct,
    new_detector,
    operator_record,
    records,
    steady,
    time_of,
    to_ms,
)

#: An hour, in the middle of which acme runs away.
EVENTS = in_order(steady(0, 3600, 10), steady(1800, 1860, 900, name="burst"), steady(0, 3600, 12, "other"))
HALF = next(place for place, event in enumerate(EVENTS) if event["time"] > time_of(1900))
FORGET = operator_record("forget", 1900, subject="tenant:acme")


def throttled(encoded: dict[str, bytes] | None = None) -> Detector:
    """A detector that has acme on a rung, one of its accounts under a word, and is about to go on at ``HALF``."""
    detector = new_detector(encoded=encoded)
    made = decisions(detector.handle(records(EVENTS[:HALF])))
    assert {decision.tenant_id for decision in made} == {"acme"}
    word = operator_record("override", 1890, subject="account:acme/user", expires_s=9000, body={"action": "block"})
    assert instruct(detector, 0, word)
    return detector


def verdict(at_s: float) -> Verdict:
    kind = CampaignKind.DISTILLATION
    return Verdict("acme", "c-1", kind, Role.BLOCK, 0.99, {"payment": 9.0}, to_ms(time_of(at_s)))


def test_every_key_of_the_tenant_is_emptied_and_its_state_dropped() -> None:
    encoded: dict[str, bytes] = {}
    detector = throttled(encoded)
    detector.take_changes()
    assert "acme" in encoded
    assert by_key(instruct(detector, 1, FORGET)) == {"tenant:acme": [None], "account:acme/user": [None]}
    assert detector.take_changes()["acme"] is None
    assert [key for key in encoded if "acme" in key] == []
    assert [key for key, state in encoded.items() if b"acme" in state] == []
    assert detector.advance(to_ms(time_of(9000))) == []


def test_a_tenant_that_goes_on_begins_anew() -> None:
    detector = throttled()
    instruct(detector, 1, FORGET)
    detector.handle(records(EVENTS[HALF:], HALF))
    encoded = detector.take_changes()["acme"]
    fresh = new_detector()
    fresh.handle(records([event for event in EVENTS[HALF:] if event["tenant_id"] == "acme"], HALF))
    assert encoded is not None
    assert len(encoded) <= len(fresh.take_changes()["acme"] or b"") + 64  # no more than what came since


def test_a_checkpoint_under_way_holds_what_was_when_it_began() -> None:
    detector = throttled()
    detector.begin_checkpoint()
    instruct(detector, 1, FORGET)
    before, after = detector.encode_checkpoint() or {}, detector.take_changes()
    assert before["acme"] is not None
    assert after["acme"] is None


def test_a_restart_at_any_place_gives_the_same() -> None:
    whole_states: dict[str, bytes] = {}
    whole = throttled(whole_states)
    whole_effects = [*instruct(whole, 1, FORGET), *whole.handle(records(EVENTS[HALF:], HALF))]
    whole.take_changes()
    for pause in (HALF, HALF + 50):
        states: dict[str, bytes] = {}
        detector = throttled(states)
        effects = [*instruct(detector, 1, FORGET), *detector.handle(records(EVENTS[HALF:pause], HALF))]
        detector.take_changes()
        again = new_detector(encoded=states)
        assert instruct(again, 1, FORGET) == []  # shown again, as all of the log is at a takeover
        effects += again.handle(records(EVENTS[pause:], pause))
        again.take_changes()
        assert effects == whole_effects
        assert states == whole_states


def test_a_crash_before_the_next_checkpoint_repeats_the_erasure_at_its_place() -> None:
    whole_states: dict[str, bytes] = {}
    whole = throttled(whole_states)
    whole_effects = [*instruct(whole, 1, FORGET), *whole.handle(records(EVENTS[HALF:], HALF))]
    whole.take_changes()
    states: dict[str, bytes] = {}
    early = new_detector(encoded=states)
    early.handle(records(EVENTS[: HALF // 2]))
    early.take_changes()
    kept = dict(states)  # what the changelog holds; the rest was lost with the process
    again = new_detector(encoded=kept)
    again.handle(records(EVENTS[HALF // 2 : HALF], HALF // 2))
    word = operator_record("override", 1890, subject="account:acme/user", expires_s=9000, body={"action": "block"})
    instruct(again, 0, word)
    assert [*instruct(again, 1, FORGET), *again.handle(records(EVENTS[HALF:], HALF))] == whole_effects
    again.take_changes()
    assert kept == whole_states


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_verdict_from_before_is_not_heard_and_a_later_one_is(is_restarted: bool) -> None:
    states: dict[str, bytes] = {}
    detector = throttled(states)
    instruct(detector, 1, FORGET)
    detector.take_changes()
    if is_restarted:
        detector = new_detector(encoded=states)
        instruct(detector, 1, FORGET)
    assert detector.obey(verdict(1900)) == []
    assert "acme" not in detector.take_changes()
    assert by_key(detector.obey(verdict(1901))).keys() == {"tenant:acme"}


def test_later_words_stand_above_the_revisions_that_limiters_know() -> None:
    detector = throttled()
    word = operator_record("override", 1899, subject="tenant:acme", expires_s=9000, body={"action": "block"})
    (before,) = decisions(instruct(detector, 1, word))
    instruct(detector, 2, FORGET)
    detector.handle(records(EVENTS[HALF : HALF + 20], HALF))
    instruct(detector, 3, FORGET)
    word = operator_record("override", 1950, subject="tenant:acme", expires_s=9000, body={"action": "throttle"})
    (after,) = decisions(instruct(detector, 4, word))
    assert after.action is Action.THROTTLE
    assert after.revision > before.revision


def test_a_tenant_nobody_knows_can_be_forgotten() -> None:
    detector = new_detector()
    assert by_key(instruct(detector, 0, FORGET)) == {"tenant:acme": [None]}
    assert detector.take_changes()["acme"] is None


def test_another_partition_is_not_concerned() -> None:
    partitions = [new_detector(partition=number, partitions=4) for number in range(4)]
    assert sum(bool(instruct(detector, 0, FORGET)) for detector in partitions) == 1


def test_a_replay_forgets_too() -> None:
    replay = Replay(
        load_policy(POLICY_TEXT, "test"), operator_lines=[operator_record("forget", 3590, subject="tenant:acme")]
    )
    list(
        replay.run(
            orjson.dumps(event) for event in EVENTS if event["tenant_id"] == "other" or event["time"] < time_of(3000)
        )
    )
    assert "acme" not in replay.states[0]
    assert "other" in replay.states[0]


# The campaign stage


@pytest.fixture(scope="module")
def stream() -> list[Record]:
    crowd = Crowd(3)
    crowd.ordinary(300)
    crowd.campaign(120, share=0.9, mix=0.9)
    signals = [one for one in crowd.signals(1.3) if one.pane_end_ms > BEGIN_MS + 0.95 * 86_400_000]
    return [Record(place, 0, msgspec.json.encode(signal), {}) for place, signal in enumerate(signals)]


def stored(detector: CampaignDetector, kept: dict[str, bytes]) -> None:
    for key, value in detector_changes(detector).items():
        kept.pop(key, None)
        if value is not None:
            kept[key] = value


def detector_changes(detector: CampaignDetector) -> dict[str, bytes | None]:
    detector.begin_checkpoint()
    return detector.encode_checkpoint() or {}


def forget(detector: CampaignDetector, tenant_id: str, at_ms: int, offset: int = 0) -> list[Effect]:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
    record = {"id": "1", "type": "forget", "subject": f"tenant:{tenant_id}", "reason": "", "by": "jo", "at": at}
    value = orjson.dumps(record)
    return detector.instruct("operator", offset, parse_operator(value), value, "operator")


def test_a_member_leaves_its_campaign_and_the_stage_without_a_trace(stream: list[Record]) -> None:
    kept: dict[str, bytes] = {}
    detector = CampaignDetector("signals", 0, POLICY, {})
    detector.handle(stream[: len(stream) // 2])
    stored(detector, kept)
    campaign = next(one for one in detector.stage.campaigns if one.members)
    tenant_id = next(iter(campaign.members))
    count = len(campaign.members)
    at_ms = max(clock.newest_ms or 0 for clock in detector.state.clocks.values())
    told: dict[str, Any] = {
        effect.key: effect.entry for effect in forget(detector, tenant_id, at_ms) if isinstance(effect, EmitCampaign)
    }
    assert told[f"{campaign.campaign_id}/{tenant_id}"] is None
    assert told[campaign.campaign_id]["member_count"] == count - 1
    stored(detector, kept)
    quoted = tenant_id.encode()
    assert [key for key, value in kept.items() if tenant_id in key or quoted in value] == []
    assert forget(CampaignDetector("signals", 0, POLICY, dict(kept)), tenant_id, at_ms) == []

    old = Signal(tenant_id, 0, 99, at_ms, 1, Profile(payment_fp="p"))
    again = CampaignDetector("signals", 0, POLICY, dict(kept))
    forget(again, tenant_id, at_ms)  # shown again after the restart
    rest = [
        Record(detector.position + place, 0, record.value, {})
        for place, record in enumerate([Record(0, 0, msgspec.json.encode(old), {}), *stream[len(stream) // 2 :][:400]])
        if place == 0 or msgspec.json.decode(record.value or b"", type=Signal).tenant_id != tenant_id
    ]
    assert again.handle(rest) == detector.handle(rest)
    assert tenant_id not in again.stage.profiles.rows
    assert again.stage.campaigns
    assert not any(tenant_id in key for key in entries_of(again.stage.campaigns))


def test_a_campaign_checkpoint_under_way_holds_what_was_when_it_began(stream: list[Record]) -> None:
    detector = CampaignDetector("signals", 0, POLICY, {})
    detector.handle(stream[:300])
    tenant_id = detector.stage.waiting[0].tenant_id if detector.stage.waiting else detector.stage.profiles.tenant_ids[0]
    detector.begin_checkpoint()
    forget(detector, tenant_id, BEGIN_MS * 2)
    assert (detector.encode_checkpoint() or {})[f"tenant/{tenant_id}"] is not None
    assert detector_changes(detector)[f"tenant/{tenant_id}"] is None


# Readers


AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def hides(name: TopicName, key: str, value: bytes | None, *, minutes: float) -> bool:
    record = {"id": "1", "type": "forget", "subject": "tenant:a%2Fb", "reason": "", "by": "jo", "at": AT.isoformat()}
    erasures = Erasures([b"nonsense", None, orjson.dumps(record)])
    return erasures.hides(name, key.encode(), value, round((AT + timedelta(minutes=minutes)).timestamp() * 1000))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (TopicName.DECISION_LOG, "tenant:a%2Fb"),
        (TopicName.DECISIONS, "account:a%2Fb/user"),
        (TopicName.CAMPAIGN_LOG, "c-1/a/b"),
        (TopicName.CAMPAIGNS, "c-1/a/b"),
        (TopicName.REQUESTS, "a/b"),
    ],
)
def test_the_past_is_hidden_and_what_comes_later_is_not(name: TopicName, key: str) -> None:
    assert hides(name, key, b"{}", minutes=-1)
    assert not hides(name, key, b"{}", minutes=1)
    assert not hides(name, key, None, minutes=-1)


@pytest.mark.parametrize(
    ("name", "key", "field"),
    [
        (TopicName.DECISION_LOG, "tenant:a%2Fb", "issued_at"),
        (TopicName.CAMPAIGNS, "c-1/a/b", "joined_at"),
        (TopicName.REQUESTS, "a/b", "time"),
    ],
)
def test_what_was_written_late_belongs_to_the_past_it_is_about(name: TopicName, key: str, field: str) -> None:
    assert hides(name, key, orjson.dumps({field: "2026-03-02T08:59:59Z"}), minutes=90)
    assert not hides(name, key, orjson.dumps({field: "2026-03-02T09:30:00Z"}), minutes=90)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (TopicName.DECISION_LOG, "tenant:a"),
        (TopicName.DECISION_LOG, "ip_prefix:a%2Fb"),
        (TopicName.DECISION_LOG, "no key of ours"),
        (TopicName.CAMPAIGNS, "c-1"),
        (TopicName.OPERATOR, "tenant:a%2Fb"),
    ],
)
def test_others_are_shown(name: TopicName, key: str) -> None:
    assert not hides(name, key, b"{}", minutes=-1)
