"""What people tell the detector: what is understood, what it changes, and that it is never said twice."""

from datetime import datetime

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_app.detection.decisions import Action
from stream_app.detection.decode import Rejected, RejectReason
from stream_app.detection.effects import DeadLetter, EmitDecision, ForgetDecision
from stream_app.detection.operators import (
    Enforcement,
    Feedback,
    Forget,
    Ignored,
    Learn,
    Override,
    Release,
    ReleaseLink,
    SetPolicy,
    Watch,
    parse_operator,
)
from stream_app.detection.partitions import partition_of
from tests.unit.streams import (
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
    told_actions,
)

repeatable = settings(derandomize=True, deadline=None)

ALLOW = operator_record("allow", 0, subject="tenant:acme", expires_s=7200)
BLOCK = operator_record("override", 10, subject="tenant:acme", expires_s=600, body={"action": "block"})
BURST = in_order(steady(0, 1800, 10), steady(1800, 1860, 900, name="burst"))
CLOCK = steady(0, 2400, 12, "other")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (ALLOW, Override),
        (BLOCK, Override),
        (operator_record("release", 0, subject="account:a%2Fb/user"), Release),
        (operator_record("release", 0, subject="ip_prefix:10.0.0.0/8"), ReleaseLink),
        (operator_record("policy", 0, body={"yaml": POLICY_TEXT}), SetPolicy),
        (operator_record("watch", 0, subject="tenant:acme", expires_s=1), Watch),
        (operator_record("watch", 0, subject="country:XX"), Ignored),
        (operator_record("confirm", 0, subject="campaign:c-1"), Feedback),
        (operator_record("dismiss", 0, subject="campaign:c-1", expires_s=1), Feedback),
        (operator_record("enforcement", 0, body={"enforced": False}), Enforcement),
        (operator_record("forget", 0, subject="tenant:a%2Fb"), Forget),
        (
            operator_record(
                "indicators", 0, expires_s=60, body={"bundle": {"partner": "p", "key_id": "k", "parts": []}}
            ),
            Learn,
        ),
        (operator_record("of-a-later-version", 0, unheard_of={"a": 1}), Ignored),
    ],
)
def test_records_are_understood(value: bytes, kind: type) -> None:
    assert isinstance(parse_operator(value), kind)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"", "no value"),
        (None, "no value"),
        (b"{", "truncated"),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b"{}", "missing required field `id`"),
        (operator_record("allow", 0, subject="tenant:acme"), "expires_at is required"),
        (operator_record("allow", 0, expires_s=1), "not a control topic key"),
        (operator_record("allow", 0, subject="acme", expires_s=1), "not a control topic key"),
        (operator_record("allow", 0, subject="tenant:a/b", expires_s=1), "must be tenant:ID or account:TENANT/ACCOUNT"),
        (operator_record("watch", 0, subject="tenant:acme"), "expires_at is required"),
        (operator_record("watch", 0, subject="account:acme", expires_s=1), "must be tenant:ID"),
        (
            operator_record("allow", 0, subject="tenant:a", expires_s=1, body={"purpose": 3}),
            "body.purpose must be a text",
        ),
        (operator_record("release", 0, subject="asn:64500"), "must be tenant:ID"),
        (operator_record("release", 0, subject="account:/user"), "an empty part or a NUL"),
        (operator_record("release", 0, subject="account:acme/"), "an empty part or a NUL"),
        (operator_record("release", 0, subject="tenant:%00partition"), "an empty part or a NUL"),
        (operator_record("override", 0, subject="tenant:a", expires_s=1), "Expected `str`"),
        (operator_record("override", 0, subject="tenant:a", expires_s=1, body={"action": "ban"}), "Invalid enum value"),
        (
            operator_record("override", 0, subject="tenant:a", expires_s=1, body={"action": "block", "limit": 3}),
            "Expected `object`",
        ),
        (operator_record("confirm", 0, subject="tenant:acme"), "must be campaign:ID"),
        (operator_record("confirm", 0, subject="campaign:c-1", expires_s=1), "a confirmation has no expires_at"),
        (operator_record("enforcement", 0, body={"enforced": "off"}), "body.enforced must be true or false"),
        (operator_record("enforcement", 0), "body.enforced must be true or false"),
        (operator_record("forget", 0, subject="account:acme/user"), "must be tenant:ID"),
        (operator_record("forget", 0, subject="tenant:%00partition"), "an empty part or a NUL"),
        (operator_record("policy", 0), "body.yaml must hold the policy's text"),
        (operator_record("policy", 0, body={"yaml": "version: 1"}), "operator record op-policy-0:1: version: "),
        (operator_record("policy", 0, body={"yaml": "[" * 5_000}), "not YAML"),
        (operator_record("policy", 0, body={"yaml": "version: 2026-02-31"}), "not YAML: day is out of range"),
        (operator_record("policy", 0, body={"yaml": "a: \0"}), "not YAML: unacceptable character"),
    ],
)
def test_nonsense_is_refused_with_its_reason(value: bytes | None, detail: str) -> None:
    refused = parse_operator(value)
    assert isinstance(refused, Rejected)
    assert detail in refused.detail


@given(value=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@example(orjson.dumps([]))
@repeatable
def test_any_bytes_are_refused_without_an_exception(value: bytes) -> None:
    assert isinstance(parse_operator(value), Rejected)


@given(text=st.text(max_size=200), place=st.integers(0, len(POLICY_TEXT)))
@repeatable
def test_a_damaged_policy_is_taken_or_refused(text: str, place: int) -> None:
    value = operator_record("policy", 0, body={"yaml": POLICY_TEXT[:place] + text + POLICY_TEXT[place:]})
    assert isinstance(parse_operator(value), SetPolicy | Rejected)


def test_a_policy_takes_effect_from_its_place_in_the_stream() -> None:
    detector = new_detector()
    detector.handle(records(in_order(BURST[:-890], CLOCK[:360])))
    assert (
        instruct(detector, 0, operator_record("policy", 0, body={"yaml": POLICY_TEXT.replace("test-1", "test-2")}))
        == []
    )
    told = decisions(detector.handle(records(BURST[-890:], 10_000)))
    assert {decision.policy.version for decision in told} == {"test-2"}


def test_a_stricter_policy_is_applied_at_a_live_tenants_next_request() -> None:
    detector = new_detector()
    assert decisions(detector.handle(records(steady(0, 1800, 30)))) == []
    strict = POLICY_TEXT.replace("{floor: 60, up_to: block}", "{floor: 5, up_to: block}").replace("0.999,", "0.51,")
    instruct(detector, 0, operator_record("policy", 1800, body={"yaml": strict.replace("0.99,", "0.505,", 1)}))
    assert len(decisions(detector.handle(records(steady(1800, 1802, 600, name="next"), 10_000)))) >= 1


@pytest.mark.parametrize("partition", range(3))
def test_nonsense_is_dead_lettered_once_and_by_one_partition(partition: int) -> None:
    encoded: dict[str, bytes] = {}
    detector = new_detector(encoded=encoded, partition=partition, partitions=3)
    letters = instruct(detector, 0, b"{") + instruct(detector, 0, b"{")
    detector.take_changes()
    again = instruct(new_detector(encoded=encoded, partition=partition, partitions=3), 0, b"{")
    if partition == 0:
        (letter,) = letters
        assert isinstance(letter, DeadLetter)
        assert (letter.topic, letter.offset, letter.reason) == ("operator", 0, RejectReason.NOT_JSON)
        assert letter.original == b"{"
    else:
        assert letters == []
    assert again == []


def test_only_the_tenants_own_partition_follows() -> None:
    told = [len(instruct(new_detector(partition=p, partitions=6), 0, ALLOW)) for p in range(6)]
    assert told == [int(p == partition_of("acme", 6)) for p in range(6)]


def test_an_allow_mutes_the_scores_until_it_expires() -> None:
    def told(expires_s: float) -> list[str | None]:
        detector = new_detector()
        effects = instruct(detector, 0, operator_record("allow", 0, subject="tenant:acme", expires_s=expires_s))
        effects += detector.handle(records(in_order(BURST, CLOCK)))
        return told_actions(by_key(effects)["tenant:acme"])

    assert told(7200) == ["allow"]
    assert told(1830)[:2] == ["allow", "throttle"]


def test_after_a_mute_the_very_next_request_is_judged() -> None:
    detector = new_detector()
    instruct(detector, 0, operator_record("allow", 0, subject="tenant:acme", expires_s=1830))
    told = decisions(detector.handle(records(in_order(BURST, CLOCK))))
    assert time_of(1830) <= told[0].issued_at <= time_of(1830.2)


def test_an_override_is_said_at_once_and_its_key_is_forgotten_in_the_end() -> None:
    detector = new_detector()
    (effect,) = instruct(detector, 0, BLOCK)
    assert isinstance(effect, EmitDecision)
    said = effect.decision
    assert (said.action, said.origin, said.simulated) == (Action.BLOCK, "operator", False)
    assert (said.issued_at, said.expires_at) == (time_of(10), time_of(600))
    clock = steady(0, 1200, 2, "other") + steady(1200, 87_000, 1.2, "other", name="slow")
    assert detector.handle(records(clock)) == []
    day_after = steady(87_000, 87_200, 6, "other", name="last")
    assert detector.handle(records(day_after, 10_000)) == [ForgetDecision("tenant:acme")]


def test_an_override_without_an_end_in_sight_is_written_within_the_calendar() -> None:
    for_ever = operator_record("allow", 0, subject="tenant:acme", expires_at="9999-12-31T23:59:59.999999Z")
    (effect,) = instruct(new_detector(), 0, for_ever)
    assert isinstance(effect, EmitDecision)
    assert effect.decision.expires_at == "9999-12-31T23:59:59.999Z"


def test_a_release_ends_a_throttle_and_a_larger_excess_is_judged_anew() -> None:
    detector = new_detector()
    before = decisions(detector.handle(records(in_order(BURST, CLOCK[:370]))))
    assert before[-1].action is Action.THROTTLE
    released = decisions(instruct(detector, 0, operator_record("release", 1860, subject="tenant:acme")))
    assert [d.action for d in released] == [Action.ALLOW]
    assert released[0].revision > before[-1].revision
    assert released[0].supersedes == before[-1].decision_id
    after = decisions(detector.handle(records(steady(1860, 1900, 2_700, name="again"), 10_000)))
    assert after[0].action is Action.THROTTLE
    assert after[0].revision > released[0].revision


def test_feedback_says_which_campaign_and_until_when() -> None:
    dismissed = parse_operator(operator_record("dismiss", 0, subject="campaign:c-1", expires_s=60))
    assert isinstance(dismissed, Feedback)
    assert (dismissed.campaign_id, dismissed.is_confirmed) == ("c-1", False)
    assert dismissed.expires_ms == round(datetime.fromisoformat(time_of(60)).timestamp() * 1000)
    confirmed = parse_operator(operator_record("confirm", 0, subject="campaign:c-1", body={"undoes": "op-1"}))
    assert isinstance(confirmed, Feedback)
    assert (confirmed.is_confirmed, confirmed.expires_ms) == (True, None)


def test_a_word_on_an_account_leaves_the_tenants_own_judgement_alone() -> None:
    detector = new_detector()
    word = operator_record("override", 0, subject="account:acme/user", expires_s=7200, body={"action": "block"})
    (said,) = decisions(instruct(detector, 0, word))
    assert (said.scope, said.subject, said.tenant_id, said.account_id) == ("account", "acme/user", "acme", "user")
    told = decisions(detector.handle(records(in_order(BURST, CLOCK))))
    assert Action.THROTTLE in {decision.action for decision in told}


def test_reading_the_operator_log_again_says_nothing_again() -> None:
    encoded: dict[str, bytes] = {}
    detector = new_detector(encoded=encoded)
    log = [BLOCK, operator_record("release", 20, subject="tenant:acme"), b"nonsense"]
    for offset, value in enumerate(log):
        assert instruct(detector, offset, value)
    detector.take_changes()
    again = new_detector(encoded=dict(encoded))
    assert [effect for offset, value in enumerate(log) for effect in instruct(again, offset, value)] == []
