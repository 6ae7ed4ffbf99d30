"""What the campaign stage finds in small worlds whose truth is known, and whom it leaves alone."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from stream_app.detection.campaigns.confirmation import CampaignKind, examine
from stream_app.detection.campaigns.growth import Pool, grow
from stream_app.detection.campaigns.links import Population, population
from stream_app.detection.campaigns.profiles import Profiles
from stream_app.detection.campaigns.proofs import HELD_NATS, proofs_of
from stream_app.detection.campaigns.records import Campaign, Status, Verdict
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import TICK_MS, CampaignStage
from stream_app.detection.campaigns.verdicts import HOLD_MS, LEAVE_SHARE, LONG_HOLD_MS, roles_of, update_members
from stream_app.detection.signals import Profile, PromptSketch, Signal
from tests.unit.campaign_worlds import BEGIN_MS, DAY_MS, Crowd

EVERY_MS = 24 * TICK_MS


def honest(seed: int) -> Crowd:
    crowd = Crowd(seed)
    crowd.ordinary(600)
    for group in (crowd.reseller, crowd.school_class, crowd.fleet, crowd.coding_agent, crowd.flash_crowd):
        group(30)
    crowd.agencies(6)
    return crowd


def run(signals: Iterable[Signal], stage: CampaignStage | None = None) -> tuple[CampaignStage, list[Verdict]]:
    stage, told = stage or CampaignStage(), []
    next_ms = BEGIN_MS + EVERY_MS
    for signal in signals:
        while signal.pane_end_ms > next_ms:
            told += stage.tick(next_ms)
            next_ms += EVERY_MS
        told += stage.take(signal)
    return stage, told + stage.tick(next_ms)


def confirmed(stage: CampaignStage) -> list[Campaign]:
    return [campaign for campaign in stage.campaigns if campaign.status is Status.CONFIRMED]


def acted(told: Iterable[Verdict]) -> set[str]:
    return {verdict.tenant_id for verdict in told if verdict.role in {Role.ACT, Role.BLOCK}}


@pytest.fixture(scope="module")
def found() -> tuple[CampaignStage, list[Verdict], set[str]]:
    crowd = honest(1)
    members = crowd.campaign(160, mix=0.4)
    return *run(crowd.signals(2.0)), members


def test_honest_crowds_are_neither_campaigns_nor_acted_on() -> None:
    stage, told = run(honest(2).signals(2.0))
    assert confirmed(stage) == []
    assert told == []


def test_a_campaign_whose_accounts_carry_half_of_the_links_is_one_distillation(
    found: tuple[CampaignStage, list[Verdict], set[str]],
) -> None:
    stage, _, members = found
    (campaign,) = confirmed(stage)
    assert campaign.kind is CampaignKind.DISTILLATION
    assert len(members & set(campaign.members)) >= 0.85 * len(members)
    assert len(members & set(campaign.members)) >= 0.97 * len(campaign.members)


def test_only_its_members_are_acted_on_and_each_says_why(found: tuple[CampaignStage, list[Verdict], set[str]]) -> None:
    stage, told, members = found
    assert acted(told) <= members
    assert len(acted(told)) >= 0.6 * len(members)
    by_role = {member.role: member for member in confirmed(stage)[0].members.values()}
    assert sum(nats >= 2 for nats in by_role[Role.BLOCK].nats.values()) >= 3
    assert by_role[Role.BLOCK].nats["content"] >= 2


def test_links_without_a_work_queue_are_an_account_network_and_nobody_is_acted_on() -> None:
    crowd = honest(3)
    members = crowd.campaign(160, mix=0.0)
    stage, told = run(crowd.signals(2.0))
    (campaign,) = confirmed(stage)
    assert campaign.kind is CampaignKind.ACCOUNT_NETWORK
    assert {verdict.role for verdict in told} <= {Role.MEMBER, None}
    assert len(members & set(campaign.members)) >= 0.7 * len(members)


def test_a_campaign_without_payment_data_and_clients_is_found_all_the_same() -> None:
    crowd = honest(4)
    members = crowd.campaign(160, mix=0.4, share=0.7, without=("payment_fp", "ja4"))
    stage, told = run(crowd.signals(2.0))
    (campaign,) = confirmed(stage)
    assert campaign.kind is CampaignKind.DISTILLATION
    assert acted(told) <= members


def test_asking_alike_without_any_link_is_watched_and_never_acted_on() -> None:
    crowd = honest(5)
    links = ("payment_fp", "signup_fp", "ja4", "ip_prefixes", "burst")
    members = crowd.campaign(200, mix=0.4, share=1.0, without=links)
    stage, told = run(crowd.signals(2.0))
    (campaign,) = confirmed(stage)
    assert campaign.kind is CampaignKind.DISTILLATION
    assert len(members & set(campaign.members)) >= 0.8 * len(campaign.members)
    assert {verdict.role for verdict in told} <= {Role.MEMBER, None}


def test_one_id_for_life_and_the_order_of_signals_within_a_tick_changes_nothing(
    found: tuple[CampaignStage, list[Verdict], set[str]],
) -> None:
    crowd = honest(1)
    crowd.campaign(160, mix=0.4)
    shuffled = sorted(crowd.signals(2.0), key=lambda s: ((s.pane_end_ms - BEGIN_MS - 1) // EVERY_MS, s.tenant_id[::-1]))
    stage, _ = run(shuffled)
    (ours,), (theirs,) = confirmed(found[0]), confirmed(stage)
    assert (ours.campaign_id, ours.members) == (theirs.campaign_id, theirs.members)
    assert ours.first_alert_ms <= ours.confirmed_ms


def as_a_member(created_ms: int) -> Profile:
    """A new account with the campaign's links and an old item of its queue."""
    return Profile(
        created_ms=created_ms,
        prompts=[PromptSketch("00000000000000aa", ["c-wrapper-1"])],
        ja4=["c-client"],
        ip_prefixes=["c-pool-1", "c-pool-2"],
        payment_fp="c-card-2",
    )


def test_a_replacement_is_attached_at_its_first_request(
    found: tuple[CampaignStage, list[Verdict], set[str]],
) -> None:
    stage, _, _ = found
    now_ms = BEGIN_MS + 2 * DAY_MS
    heir = Signal("heir", 0, 0, now_ms, 1, as_a_member(now_ms))
    stranger = Signal("stranger", 0, 0, now_ms, 1, Profile(created_ms=now_ms, ja4=["client-1"]))
    assert stage.take(stranger) == []
    (verdict,) = stage.take(heir)
    assert verdict.campaign_id == confirmed(stage)[0].campaign_id
    assert verdict.role in {Role.ACT, Role.BLOCK}


def test_who_is_known_is_judged_by_looks_alone(found: tuple[CampaignStage, list[Verdict], set[str]]) -> None:
    stage, _, members = found
    known = next(name for name in stage.profiles.tenant_ids if name not in stage.told and name not in members)
    profile = Profile(ja4=["c-client"], ip_prefixes=["c-pool-1", "c-pool-2"], payment_fp="c-card-2")
    now_ms = BEGIN_MS + 2 * DAY_MS
    assert stage.take(Signal("unknown", 0, 0, now_ms, 1, profile)) != []
    assert stage.take(Signal(known, 0, 999, now_ms, 1, profile)) == []


def confirmed_campaign() -> tuple[Campaign, Population, Profiles]:
    """A confirmed campaign of sixty beside three hundred strangers; one that is in doubt."""
    crowd = Crowd(9)
    crowd.ordinary(300)
    names = crowd.campaign(60, mix=0.5, share=0.8)
    profiles = Profiles()
    for signal in crowd.signals(2.0):
        profiles.add(signal)
    people = population(profiles, np.ones(len(profiles), np.bool_))
    pool = Pool(np.array([float(name in names) for name in profiles.tenant_ids]))
    grow(people, pool)
    campaign = Campaign("c-1", BEGIN_MS, pool, CampaignKind.DISTILLATION, Status.CONFIRMED, pooled=["payer"], doubts=1)
    campaign.proofs = proofs_of(people, pool, {})
    return campaign, people, profiles


def update(campaign: Campaign, people: Population, profiles: Profiles, now_ms: int, *more: Any) -> None:
    update_members(campaign, roles_of(campaign, people), people, profiles, now_ms, *more)


def test_a_verdict_in_doubt_takes_nobody_further_than_before() -> None:
    campaign, people, profiles = confirmed_campaign()

    def roles() -> dict[str, Role]:
        update(campaign, people, profiles, BEGIN_MS)
        return {member.tenant_id: member.role for member in campaign.members.values()}

    assert set(roles().values()) == {Role.MEMBER}
    campaign.doubts = 0
    reached = roles()
    assert Role.BLOCK in reached.values()
    campaign.doubts = 1
    assert roles() == reached


def test_a_role_is_kept_for_a_while_when_evidence_sways() -> None:
    campaign, people, profiles = confirmed_campaign()
    campaign.doubts = 0
    for now_ms in (BEGIN_MS - TICK_MS, BEGIN_MS):
        update(campaign, people, profiles, now_ms)
    reached = {name: member.role for name, member in campaign.members.items()}
    assert Role.BLOCK in reached.values()
    campaign.pool.share = campaign.pool.share * LEAVE_SHARE / 2
    update(campaign, people, profiles, BEGIN_MS + HOLD_MS - 1)
    assert {name: member.role for name, member in campaign.members.items()} == reached
    update(campaign, people, profiles, BEGIN_MS + HOLD_MS)
    assert campaign.members == {}


def test_who_nearly_is_a_member_is_kept_for_half_a_day_and_no_longer() -> None:
    campaign, people, profiles = confirmed_campaign()
    campaign.doubts = 0
    update(campaign, people, profiles, BEGIN_MS)
    names = set(campaign.members)
    campaign.pool.share = np.where(campaign.pool.share >= LEAVE_SHARE, LEAVE_SHARE, 0.0)
    update(campaign, people, profiles, BEGIN_MS + LONG_HOLD_MS - 1)
    assert set(campaign.members) == names
    assert {member.role for member in campaign.members.values()} == {Role.MEMBER}
    update(campaign, people, profiles, BEGIN_MS + LONG_HOLD_MS)
    assert campaign.members == {}


def test_who_was_told_on_arrival_is_watched_for_a_while_whatever_the_look_says() -> None:
    campaign, people, profiles = confirmed_campaign()
    campaign.doubts = 0
    campaign.pool.share = np.zeros(len(people))
    name = profiles.tenant_ids[0]
    told = {name: Verdict(name, "c-1", campaign.kind, Role.ACT, 0.999, {}, BEGIN_MS)}
    update(campaign, people, profiles, BEGIN_MS + TICK_MS, None, told)
    assert {member.tenant_id: member.role for member in campaign.members.values()} == {name: Role.MEMBER}
    campaign.members = {}
    update(campaign, people, profiles, BEGIN_MS + HOLD_MS, None, told)
    assert campaign.members == {}


def test_who_belongs_to_another_campaign_now_is_let_go_at_once() -> None:
    campaign, people, profiles = confirmed_campaign()
    update(campaign, people, profiles, BEGIN_MS)
    campaign.pool.share = campaign.pool.share * 0.2
    update(campaign, people, profiles, BEGIN_MS + 1, np.ones(len(people), np.bool_))
    assert campaign.members == {}


def test_who_shares_a_client_alone_with_another_pool_does_not_belong_there() -> None:
    campaign, people, _ = confirmed_campaign()
    assert (roles_of(campaign, people) > 0).sum() >= 50
    campaign.pool.nats = {kind: np.zeros(len(people)) for kind in campaign.pool.nats} | {
        "ja4": np.full(len(people), 6.0)
    }
    assert (roles_of(campaign, people) == 0).all()


def test_where_links_hold_a_pool_its_content_is_proved_by_less() -> None:
    campaign, people, profiles = confirmed_campaign()
    pool = campaign.pool
    provers = np.flatnonzero(pool.share > 0.5)[:12]
    pool.nats["content"] = np.zeros(len(people))
    pool.nats["content"][provers] = 1.2 * HELD_NATS / len(provers)
    assert "content" in examine(people, profiles, pool, {}).proofs
    assert "content" not in examine(people, profiles, pool, {"content": HELD_NATS}).proofs
    nothing = {kind: np.zeros(len(people)) for kind in pool.nats}
    unlinked = Pool(pool.share, nats=nothing | {"content": pool.nats["content"]}, odds=pool.odds)
    assert "content" not in examine(people, profiles, unlinked, {}).proofs


def test_nobody_is_attached_to_a_campaign_in_doubt(found: tuple[CampaignStage, list[Verdict], set[str]]) -> None:
    stage, _, _ = found
    (campaign,) = confirmed(stage)
    now_ms = BEGIN_MS + 2 * DAY_MS
    signal = Signal("newcomer", 0, 0, now_ms, 1, as_a_member(now_ms))
    campaign.doubts = 1
    assert stage.take(signal) == []
    campaign.doubts = 0
    assert len(stage.take(signal)) == 1


def test_a_card_in_ten_tenants_is_shown_to_a_person_at_the_next_tick() -> None:
    crowd = Crowd(6)
    crowd.ordinary(300)
    for _ in range(10):
        crowd._person(crowd._old_ms(), [], 0.0, {"payment_fp": "shared"})
    stage, told = run(crowd.signals(1.0))
    assert any(len(campaign.members) >= 8 for campaign in stage.campaigns)
    assert told == []


def test_the_list_for_a_person_stays_short() -> None:
    crowd = Crowd(7)
    crowd.ordinary(300)
    for card in range(12):
        for _ in range(11):
            crowd._person(crowd._old_ms(), [], 0.0, {"payment_fp": f"card-of-{card}"})
    stage, _ = run(crowd.signals(0.9))
    assert len(stage.campaigns) <= 3


def test_missing_fields_are_no_evidence() -> None:
    bare = [
        Signal(f"t{number}", 0, 0, BEGIN_MS + 1000 * number, 1, Profile(models={"small": 1})) for number in range(500)
    ]
    stage, told = run(bare)
    assert stage.campaigns == []
    assert told == []
