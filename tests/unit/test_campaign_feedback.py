"""What a person says of a campaign: it stands, it ends, it teaches, and it never makes a verdict easier to reach."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.detection.campaigns.confirmation import CampaignKind, Findings
from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.opinions import (
    MIN_DISMISSED,
    UNLIKELY,
    Opinion,
    Ranking,
    features_of,
    follow_person,
    hear,
)
from stream_app.detection.campaigns.proofs import Proof
from stream_app.detection.campaigns.records import Campaign, Status, Verdict
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import TICK_MS, CampaignStage
from stream_app.detection.effects import DeadLetter, EmitCampaign, EmitVerdict
from stream_app.detection.operators import Feedback, parse_operator
from stream_app.reports.feedback import progress
from tests.unit.campaign_worlds import BEGIN_MS, DAY_MS, Crowd
from tests.unit.streams import BEGIN_MS as STREAMS_BEGIN_MS
from tests.unit.streams import operator_record
from tests.unit.test_campaign_detector import checkpoint, new, records
from tests.unit.test_campaigns import acted, confirmed, honest, run

Found = tuple[CampaignStage, list[Verdict], set[str]]
NOW_MS = BEGIN_MS + 2 * DAY_MS + TICK_MS


def word(kind: str, campaign_id: str, **more: Any) -> Feedback:
    said = parse_operator(operator_record(kind, 0, subject=f"campaign:{campaign_id}", **more))
    assert isinstance(said, Feedback)
    return said


def campaign_like(*, content: bool = False, explanations: int = 0) -> Campaign:
    campaign = Campaign("c-1", BEGIN_MS, Pool(np.ones(100)))
    campaign.proofs = {"content": Proof(90.0, 0.0, 90.0)} if content else {}
    campaign.findings = Findings(explanations=["one_payer"] * explanations)
    return campaign


def opinions(count: int, campaign: Campaign, *, is_confirmed: bool) -> list[Opinion]:
    return [Opinion(features_of(campaign), is_confirmed, was_automatic=True)] * count


@pytest.fixture(scope="module")
def alike() -> Found:
    """A campaign whose accounts have only what they ask and when they came in common: watched, never acted on."""
    crowd = honest(5)
    links = ("payment_fp", "signup_fp", "ja4", "ip_prefixes")
    members = crowd.campaign(200, mix=0.4, share=1.0, without=links)
    return *run(crowd.signals(2.0)), members


@pytest.fixture(scope="module")
def linked() -> Found:
    """A campaign that is acted on."""
    crowd = honest(1)
    members = crowd.campaign(160, mix=0.4)
    return *run(crowd.signals(2.0)), members


def test_who_only_ask_alike_are_acted_on_once_a_person_has_confirmed_them(alike: Found) -> None:
    stage, told, members = deepcopy(alike)
    (campaign,) = confirmed(stage)
    assert not acted(told)
    assert stage.hear(word("confirm", campaign.campaign_id), NOW_MS) == []
    after = acted(stage.tick(NOW_MS + TICK_MS))
    assert after <= members
    assert len(after) >= 0.5 * len(members)


def test_a_network_that_a_person_has_confirmed_is_distillation_once_its_content_is_proved() -> None:
    campaign = campaign_like(content=False)
    told = hear(campaign, {}, {}, word("confirm", "c-1"), NOW_MS)
    assert (told, campaign.kind) == ([], CampaignKind.ACCOUNT_NETWORK)
    campaign.proofs["content"] = Proof(90.0, 0.0, 90.0)
    follow_person(campaign)
    assert campaign.kind is CampaignKind.DISTILLATION


def test_a_dismissal_lets_everybody_go_at_once_and_stands(linked: Found) -> None:
    stage, _, _ = deepcopy(linked)
    (campaign,) = confirmed(stage)
    watched = set(stage.told)
    ended = stage.hear(word("dismiss", campaign.campaign_id), NOW_MS)
    assert ended is not None
    assert {verdict.tenant_id for verdict in ended} == watched
    assert all(verdict.role is None and verdict.is_dismissed for verdict in ended)
    assert stage.told == {}
    assert stage.tick(NOW_MS + TICK_MS) == []
    assert campaign.status is Status.DISMISSED


def test_confirming_undoes_a_dismissal(linked: Found) -> None:
    stage, _, members = deepcopy(linked)
    (campaign,) = confirmed(stage)
    before = {tenant for tenant, verdict in stage.told.items() if verdict.role in {Role.ACT, Role.BLOCK}}
    stage.hear(word("dismiss", campaign.campaign_id), NOW_MS)
    stage.hear(word("confirm", campaign.campaign_id), NOW_MS)
    after = acted(stage.tick(NOW_MS + TICK_MS))
    assert len(before & after) >= 0.95 * len(before)
    assert after <= members


def test_a_dismissal_ends_at_its_time(linked: Found) -> None:
    stage, _, _ = deepcopy(linked)
    (campaign,) = confirmed(stage)
    until_s = (NOW_MS + 2 * TICK_MS - STREAMS_BEGIN_MS) / 1000
    stage.hear(word("dismiss", campaign.campaign_id, expires_s=until_s), NOW_MS)
    assert stage.tick(NOW_MS + TICK_MS) == []
    assert not acted(stage.look(NOW_MS + 3 * TICK_MS))
    assert campaign.status is Status.CONFIRMED
    assert acted(stage.look(NOW_MS + 4 * TICK_MS))


def test_a_dismissal_ends_when_the_pool_has_outgrown_what_the_person_saw(linked: Found) -> None:
    stage, _, _ = deepcopy(linked)
    (campaign,) = confirmed(stage)
    stage.hear(word("dismiss", campaign.campaign_id), NOW_MS)
    assert campaign.word is not None
    campaign.word.size /= 3
    assert acted(stage.tick(NOW_MS + TICK_MS))


def test_an_unknown_campaign_is_a_dead_letter_and_every_alias_is_known(linked: Found) -> None:
    stage, _, _ = deepcopy(linked)
    (campaign,) = confirmed(stage)
    assert stage.hear(word("confirm", "c-nobody"), NOW_MS) is None
    campaign.aliases.append("c-younger")
    assert stage.hear(word("confirm", "c-younger"), NOW_MS) == []
    value = operator_record("dismiss", 0, subject="campaign:c-nobody")
    (refused,) = new().instruct("operator", 7, parse_operator(value), value, "operator.v1")
    assert isinstance(refused, DeadLetter)
    assert (refused.topic, refused.offset, refused.original) == ("operator.v1", 7, value)


def test_a_repeated_word_is_heard_once_and_survives_a_restart() -> None:
    crowd = Crowd(3)
    crowd.ordinary(300)
    crowd.campaign(120, share=0.9, mix=0.9)
    kept: dict[str, bytes] = {}
    first = new()
    first.handle(records([one for one in crowd.signals(1.3) if one.pane_end_ms > BEGIN_MS + 0.95 * DAY_MS]))
    campaign = next(campaign for campaign in first.stage.campaigns if campaign.status is Status.CONFIRMED)
    value = operator_record("dismiss", 0, subject=f"campaign:{campaign.campaign_id}")
    effects = first.instruct("operator", 3, parse_operator(value), value, "operator.v1")
    verdicts = [effect for effect in effects if isinstance(effect, EmitVerdict)]
    headers = [effect for effect in effects if isinstance(effect, EmitCampaign) and "/" not in effect.key]
    assert len(verdicts) == len({(effect.offset, effect.number) for effect in verdicts}) > 0
    assert [(header.entry or {})["status"] for header in headers] == ["dismissed"]
    checkpoint(first, kept)
    second = new(kept)
    (again,) = [one for one in second.stage.campaigns if one.campaign_id == campaign.campaign_id]
    assert (again.word, again.status) == (campaign.word, Status.DISMISSED)
    assert second.stage.memory.opinions == first.stage.memory.opinions
    assert second.instruct("operator", 3, parse_operator(value), value, "operator.v1") == []


def test_opinions_rank_what_comes_next_whatever_their_number() -> None:
    asked, explained = campaign_like(content=True), campaign_like(explanations=2)
    assert Ranking([]).priority(asked) == 0.5
    ranking = Ranking(opinions(8, asked, is_confirmed=True) + opinions(8, explained, is_confirmed=False))
    assert ranking.priority(asked) > 0.6
    assert ranking.priority(explained) < 0.4


def test_progress_tells_what_was_confirmed_of_what_was_shown() -> None:
    said = [(f"c-{day}", f"2026-01-{day:02}T00:00:00Z", day > 3, 0.6 if day > 2 else 0.5) for day in range(1, 6)]
    words = [
        {"campaign_id": name, "feedback": {"is_confirmed": good, "by": "ann", "at": at, "foreseen": foreseen}}
        for name, at, good, foreseen in said
    ]
    told = progress([*words[::-1], {"campaign_id": "c-0"}])
    assert [one["campaign_id"] for one in told] == ["c-1", "c-2", "c-3", "c-4", "c-5"]
    assert [one["precision"] for one in told] == [0.0, 0.0, 0.0, 0.25, 0.4]
    assert [one["foreseen_right"] for one in told] == [None, None, 0.0, 0.5, 0.667]  # of the first two nothing was


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30), st.booleans())
def test_opinions_only_ever_keep_a_verdict_from_being_automatic(said: list[tuple[bool, bool]], is_asking: bool) -> None:
    heard = [opinions(1, campaign_like(content=content), is_confirmed=good)[0] for content, good in said]
    ranking, campaign = Ranking(heard), campaign_like(content=is_asking)
    dismissed = sum(not good for _, good in said)
    assert ranking.is_for_a_person(campaign) <= (dismissed >= MIN_DISMISSED and ranking.priority(campaign) < UNLIKELY)


def test_verdicts_like_those_that_people_dismissed_wait_for_a_person(linked: Found) -> None:
    stage, _, _ = deepcopy(linked)
    (campaign,) = confirmed(stage)
    lesson = Opinion(features_of(campaign), is_confirmed=False, was_automatic=True)
    stage.memory.opinions = {f"c-{number}": lesson for number in range(40)}
    campaign.status, campaign.kind = Status.CANDIDATE, CampaignKind.COHORT
    assert not acted(stage.look(NOW_MS + TICK_MS))
    assert (campaign.status, campaign.kind) == (Status.CANDIDATE, CampaignKind.COHORT)
    stage.memory.opinions = {}
    assert not acted(stage.look(NOW_MS + 2 * TICK_MS))
    assert acted(stage.look(NOW_MS + 3 * TICK_MS))
