"""A campaign's verdict as an instruction: it becomes a decision once, in its tenant's partition."""

import numpy as np

from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.records import Campaign, Member, Status, Verdict
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.verdicts import RENEW_AT_MOST_MS, RENEW_MS, changes
from stream_app.detection.detector import Detector
from stream_app.detection.effects import EmitDecision
from tests.unit.streams import BEGIN_MS, new_detector, records, steady

TENANT = "acme"


def verdict(at_ms: int, role: Role | None = Role.ACT, tenant_id: str = TENANT) -> Verdict:
    return Verdict(tenant_id, "c-1", CampaignKind.DISTILLATION, role, 0.99, {"payer": 7.0}, at_ms)


def tell(detector: Detector, offset: int, word: Verdict) -> list[EmitDecision]:
    told = detector.instruct("verdicts", offset, word, b"", "verdicts")
    return [effect for effect in told if isinstance(effect, EmitDecision)]


def test_a_verdict_is_followed_once_also_by_who_starts_from_the_stored_state() -> None:
    encoded: dict[str, bytes] = {}
    detector = new_detector(encoded=encoded)
    detector.handle(records(steady(0, 600, 12, TENANT)))
    at_ms = BEGIN_MS + 600_000
    (told,) = tell(detector, 3, verdict(at_ms))
    assert (told.decision.tenant_id, told.decision.campaign_id, told.cause_ms) == (TENANT, "c-1", at_ms)
    detector.take_changes()
    again = new_detector(encoded=dict(encoded))
    assert tell(again, 3, verdict(at_ms)) == []
    assert again.state.told == {"verdicts": 3}


def test_verdicts_concern_the_partition_of_their_tenant_only() -> None:
    many = [f"tenant-{number}" for number in range(64)]
    halves = [new_detector(partition=number, partitions=2) for number in range(2)]
    owners = [[half.is_concerned_by(verdict(0, tenant_id=name)) for half in halves] for name in many]
    assert {tuple(owner) for owner in owners} == {(True, False), (False, True)}


def test_a_verdict_that_stands_is_repeated_less_and_less_often_and_a_change_at_once() -> None:
    campaign = Campaign("c-1", BEGIN_MS, Pool(np.zeros(1)), CampaignKind.DISTILLATION, Status.CONFIRMED)
    member = campaign.members[TENANT] = Member(TENANT, 0.999, Role.ACT, BEGIN_MS, {"payer": 7.0})
    told: dict[str, Verdict] = {}
    every_ms = RENEW_MS // 3
    times = [
        at_ms for at_ms in range(BEGIN_MS, BEGIN_MS + 48 * every_ms, every_ms) if changes([campaign], told, 5, at_ms)
    ]
    gaps = np.diff(times)
    assert [gaps[0], gaps[-1]] == [RENEW_MS, RENEW_AT_MOST_MS]
    assert (np.diff(gaps) >= 0).all()
    member.role = Role.BLOCK
    (changed,) = changes([campaign], told, 5, times[-1] + every_ms)
    assert (changed.role, changed.since_ms) == (Role.BLOCK, changed.at_ms)
