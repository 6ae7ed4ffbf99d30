"""What a campaign's verdict does to a tenant: how far it goes, who stands above it, and how it ends."""

from typing import Any

import pytest

from stream_app.detection.campaign_rulings import hold_of
from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.detector import Detector
from stream_app.stories import tell
from tests.unit.streams import (
    BEGIN_MS,
    decisions,
    event,
    in_order,
    instruct,
    new_detector,
    operator_record,
    records,
    steady,
    to_ms,
)


def verdict(role: Role | None, **changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "tenant_id": "acme",
        "campaign_id": "c-1",
        "kind": CampaignKind.DISTILLATION,
        "role": role,
        "posterior": 0.9995,
        "nats": {"payer": 6.5, "content": 3.25, "client": -0.5},
        "at_ms": BEGIN_MS + 60_000,
    }
    return Verdict(**fields | changes)


def after_a_minute() -> Detector:
    detector = new_detector()
    detector.handle(records(in_order(steady(0, 60, 4), steady(0.5, 60, 4, "other"))))
    return detector


def obeyed(detector: Detector, told: Verdict) -> list[Decision]:
    return decisions(detector.obey(told))


@pytest.mark.parametrize(
    ("role", "action"), [(Role.MEMBER, Action.OBSERVE), (Role.ACT, Action.THROTTLE), (Role.BLOCK, Action.BLOCK)]
)
def test_a_role_goes_as_far_as_its_rung_and_no_further_than_the_policy(role: Role, action: Action) -> None:
    (decision,) = obeyed(after_a_minute(), verdict(role))
    assert (decision.action, decision.campaign_id, decision.origin) == (action, "c-1", "detector")
    assert [(reason.code, reason.observed) for reason in decision.reasons] == [
        ("campaign_payer", 6.5),
        ("campaign_content", 3.25),
    ]
    assert "shares payment instruments with it: 6.5 nats, 670 times likelier" in tell(decision)


def test_an_account_network_is_never_blocked() -> None:
    (decision,) = obeyed(after_a_minute(), verdict(Role.BLOCK, kind=CampaignKind.ACCOUNT_NETWORK))
    assert decision.action is Action.THROTTLE


def test_an_operator_s_word_stands_above_a_verdict() -> None:
    detector = after_a_minute()
    instruct(detector, 0, operator_record("allow", 50, subject="tenant:acme", expires_s=86_400))
    assert obeyed(detector, verdict(Role.BLOCK)) == []


def test_who_was_released_from_a_campaign_is_not_put_back_by_the_same_verdict() -> None:
    detector = after_a_minute()
    obeyed(detector, verdict(Role.BLOCK))
    (released,) = decisions(instruct(detector, 0, operator_record("release", 90, subject="tenant:acme")))
    assert released.action is Action.ALLOW
    assert obeyed(detector, verdict(Role.ACT, at_ms=BEGIN_MS + 120_000)) == []
    much_later = BEGIN_MS + 60_000 + hold_of(verdict(Role.ACT)) + 3_600_000
    (again,) = obeyed(detector, verdict(Role.BLOCK, at_ms=much_later))
    assert again.action is Action.BLOCK


def test_a_repeated_verdict_renews() -> None:
    detector = after_a_minute()
    (first,) = obeyed(detector, verdict(Role.BLOCK))
    (second,) = obeyed(detector, verdict(Role.BLOCK, at_ms=BEGIN_MS + 3_600_000))
    assert to_ms(second.expires_at) - to_ms(first.expires_at) >= 3_500_000
    assert second.revision > first.revision


def test_a_verdict_holds_without_scores_and_ends_when_it_is_withdrawn() -> None:
    detector = after_a_minute()
    obeyed(detector, verdict(Role.ACT))
    calm = [event(time_s, "other", id=f"o{time_s}") for time_s in range(61, 1500, 20)]
    assert decisions(detector.handle(records(calm, 1_000))) == []
    assert obeyed(detector, verdict(None, at_ms=BEGIN_MS + 1_500_000)) == []
    later = [event(time_s, "other", id=f"o{time_s}") for time_s in range(1500, 2100, 20)]
    (released,) = decisions(detector.handle(records(later, 2_000)))
    assert released.action is Action.ALLOW
    assert hold_of(verdict(Role.ACT)) > 2_100_000


def test_a_verdict_that_a_person_has_ended_lets_go_at_once() -> None:
    detector = after_a_minute()
    obeyed(detector, verdict(Role.BLOCK))
    (released,) = obeyed(detector, verdict(None, at_ms=BEGIN_MS + 60_000, is_dismissed=True))
    assert (released.tenant_id, released.action) == ("acme", Action.ALLOW)


def test_a_role_that_has_become_milder_is_a_step_down_and_no_release() -> None:
    detector = after_a_minute()
    obeyed(detector, verdict(Role.BLOCK))
    (milder,) = obeyed(detector, verdict(Role.ACT, at_ms=BEGIN_MS + 120_000))
    assert milder.action is Action.THROTTLE
    calm = [event(time_s, "other", id=f"o{time_s}") for time_s in range(121, 4 * 3600, 60)]
    assert decisions(detector.handle(records(calm, 1_000))) == []


def test_decisions_are_in_order_where_a_verdict_is_of_an_earlier_time_than_a_release() -> None:
    detector = after_a_minute()
    (first,) = obeyed(detector, verdict(Role.ACT))
    obeyed(detector, verdict(None, at_ms=BEGIN_MS + 120_000))
    calm = [event(time_s, "other", id=f"o{time_s}") for time_s in range(121, 3600, 20)]
    (released,) = decisions(detector.handle(records(calm, 1_000)))
    (again,) = obeyed(detector, verdict(Role.ACT, at_ms=BEGIN_MS + 180_000))
    assert first.issued_at < released.issued_at <= again.issued_at
