"""Campaigns that nothing but their work queue ties together, and honest programs that look like them."""

import numpy as np
import pytest

from stream_app.detection.campaigns.confirmation import CampaignKind, examine
from stream_app.detection.campaigns.growth import Pool, grow, refit
from stream_app.detection.campaigns.links import population
from stream_app.detection.campaigns.ordinary import is_one_program
from stream_app.detection.campaigns.profiles import Profiles, value_hash
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.campaigns.verdicts import may_act
from stream_app.detection.signals import Profile, PromptSketch, Signal
from tests.unit.campaign_worlds import BEGIN_MS
from tests.unit.test_campaigns import acted, confirmed, honest, run

Found = tuple[CampaignStage, set[str]]


@pytest.fixture(scope="module")
def found() -> Found:
    crowd = honest(11)
    members = crowd.hidden_campaign(120)
    stage, told = run(crowd.signals(2.5))
    assert acted(told) <= members
    return stage, members


def test_a_queue_shows_although_its_accounts_use_what_everybody_uses(found: Found) -> None:
    stage, members = found
    (campaign,) = confirmed(stage)
    assert campaign.kind is CampaignKind.DISTILLATION
    assert campaign.findings.queue.is_dealt
    assert len(members & set(campaign.members)) >= 0.7 * len(members)


def test_users_of_its_clients_are_no_members(found: Found) -> None:
    stage, members = found
    (campaign,) = confirmed(stage)
    assert set(campaign.members) <= members
    assert min(member.nats["content"] for member in campaign.members.values()) > 1.5  # two to join, less to stay


def test_whoever_had_several_of_a_queues_prompts_may_be_challenged_and_nobody_blocked(found: Found) -> None:
    stage, members = found
    (campaign,) = confirmed(stage)
    assert campaign.is_even
    assert not may_act(campaign)
    roles = [member.role for member in campaign.members.values()]
    assert roles.count(Role.ACT) >= 0.45 * len(members)
    assert Role.BLOCK not in roles


def test_users_of_collections_are_not_acted_on_whatever_they_are_taken_for() -> None:
    """What they ask is nobody else's, from popular clients; but they choose which, or how often."""
    crowd = honest(14)
    crowd.collection(110, "chosen", have_favourites=True)
    crowd.collection(110, "heavy", have_favourites=False)
    stage, told = run(crowd.signals(2.5))
    assert not acted(told)
    assert not any(campaign.is_even for campaign in stage.campaigns)


def test_an_extension_with_keys_of_its_users_is_nobodys_campaign() -> None:
    crowd = honest(12)
    crowd.extension(100)
    stage, told = run(crowd.signals(2.0))
    assert not confirmed(stage)
    assert not told


def pool_of_users(inside: str, outside: str) -> bool:
    """Whether forty tenants are explained by their system prompt, among four hundred others who have another."""
    profiles = Profiles()
    for number in range(440):
        system = inside if number < 40 else outside if number % 2 else f"own-{number}"
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 1, Profile(systems=[system])))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    return is_one_program(people, Pool(np.where(np.arange(440) < 40, 1.0, 0.0)))


def test_a_program_explains_its_users_and_a_popular_prompt_nobody() -> None:
    assert pool_of_users("agent", "popular")
    assert not pool_of_users("popular", "popular")


def test_a_few_wrappers_that_nobody_else_uses_hold_a_pool_by_themselves() -> None:
    """Each of 120 accounts has sent one to three items of a queue, among as many as eleven prompts of its own."""
    rng = np.random.default_rng(4)
    profiles = Profiles()
    for number in range(1500):
        asked = [f"common-{min(int(rng.zipf(1.4)), 3000)}" for _ in range(int(rng.integers(6, 12)))]
        items = rng.integers(3, size=int(rng.integers(1, 4))) if number < 120 else ()
        prompts = [PromptSketch("", [name]) for name in [*asked, *(f"queue-{item}" for item in items)]]
        profiles.add(Signal(f"t{number:04}", 0, 0, BEGIN_MS, 1, Profile(prompts=prompts)))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    content = people.links["content"]
    column = int(np.flatnonzero(content.values == value_hash("queue-0"))[0])
    seeded = np.zeros(len(people))
    seeded[content.holders(column)] = 1.0
    pool = Pool(seeded, has_links=False)
    grow(people, pool)
    assert np.count_nonzero(pool.share[:120] > 0.5) >= 50
    assert not (pool.share[120:] > 0.5).any()


def test_whoever_uses_a_client_is_no_pool() -> None:
    """As long as nothing that strangers do not share holds it, a client says no more than among everybody."""
    profiles = Profiles()
    for number in range(1000):
        client = "popular" if number % 4 == 0 else f"client-{number % 50}"
        profiles.add(Signal(f"t{number:04}", 0, 0, BEGIN_MS, 1, Profile(ja4=[client], payment_fp=f"card-{number}")))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    pool = Pool(np.where(np.arange(1000) % 4 == 0, 1.0, 0.0))
    grow(people, pool)
    assert not (pool.share > 0.5).any()


def test_links_of_a_few_do_not_hold_whoever_asks_like_them() -> None:
    """Twenty of one pool of networks with one client, and as many or four times as many who only ask the same."""
    pooled = {}
    for others in (20, 80):
        rng = np.random.default_rng(6)
        profiles = Profiles()
        for number in range(620 + others):
            is_linked, is_asking = number < 20, number < 20 + others
            prefixes = [f"rack-{rng.integers(14)}" if is_linked else f"home-{number}-{place}" for place in range(2)]
            client = "gateway" if is_linked else f"client-{number % 60}"
            asked = [f"wrapper-{rng.integers(4)}" if is_asking else f"own-{number}-{place}" for place in range(6)]
            prompts = [PromptSketch("", [name]) for name in asked]
            profile = Profile(ip_prefixes=prefixes, ja4=[client], payment_fp=f"card-{number}", prompts=prompts)
            profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 6, profile))
        people = population(profiles, np.ones(len(profiles), np.bool_))
        pool = Pool(np.where(np.arange(len(people)) < 20 + others, 1.0, 0.0), has_links=False)
        for _ in range(2):
            refit(people, pool)
        findings = examine(people, profiles, pool, {})
        assert "content" in findings.proofs
        pooled[others] = findings.pooled
    assert pooled == {20: ["network"], 80: []}
