"""Places, programs and public prompts that explain a pool, and operations that look like one of them."""

from typing import Any

import numpy as np
import pytest

from stream_app.detection.campaigns.assessment import assess
from stream_app.detection.campaigns.confirmation import CampaignKind, Findings, examine, kind_of
from stream_app.detection.campaigns.opinions import Ranking
from stream_app.detection.campaigns.ordinary import is_one_program, is_public, site_of
from stream_app.detection.campaigns.proofs import Proof
from stream_app.detection.campaigns.queues import Queue
from stream_app.detection.campaigns.records import Campaign, Status
from stream_app.detection.campaigns.stage import TICK_MS
from stream_app.detection.campaigns.verdicts import barred_by
from tests.unit.campaign_worlds import BEGIN_MS, Crowd
from tests.unit.test_campaign_crossings import grown


def floor(crowd: Crowd, *, networks: int, count: int = 90) -> int:
    """People who answer tickets with the same few instructions, on shared devices, of one week's sign-ups."""
    first, rng = len(crowd.people), crowd.rng
    for _ in range(count):
        links: dict[str, Any] = {"ip_prefixes": [f"exit-{rng.integers(networks)}" for _ in range(2)]}
        links |= {"signup_fp": f"desk-{rng.integers(10)}"} if rng.random() < 0.6 else {}
        crowd._person(crowd._burst_ms(7), ["reply-1", "reply-2", "reply-3"], 0.5, links)
    return first


@pytest.mark.parametrize(
    ("networks", "kind"), [(3, CampaignKind.COHORT), (14, CampaignKind.DISTILLATION)], ids=["one site", "many"]
)
def test_people_at_one_site_are_no_campaign_whatever_they_have_in_common(networks: int, kind: CampaignKind) -> None:
    crowd = Crowd(61)
    crowd.ordinary(600)
    people, profiles, pool = grown(crowd, floor(crowd, networks=networks))
    found = examine(people, profiles, pool, {})
    assert (site_of(people, pool) is not None) == (kind is CampaignKind.COHORT)
    assert {"device", "network", "genesis", "content"} <= found.proofs.keys()
    assert kind_of(found, found.proofs.keys(), set(found.pooled), 90) is kind


@pytest.mark.parametrize(("networks", "is_explained"), [(7, True), (20, False)], ids=["some sites", "many"])
def test_a_few_sites_where_a_good_third_of_the_prompts_are_shared_have_public_material(
    networks: int, is_explained: bool
) -> None:
    crowd = Crowd(61)
    crowd.ordinary(600)
    first = floor(crowd, networks=networks)
    for place in range(first, len(crowd.people), 2):
        crowd.people[place] = crowd.people[place]._replace(is_repeating=True)
    people, profiles, pool = grown(crowd, first)
    found = examine(people, profiles, pool, {})
    assert 0.25 < found.queue.shared_bodies < 0.5
    assert ("public_material" in found.explanations) is is_explained


@pytest.mark.parametrize(
    ("pooled", "kind", "bar"),
    [
        (["device", "network"], CampaignKind.COHORT, "organisation"),
        (["payer"], CampaignKind.DISTILLATION, "organisation"),
        (["device", "payer"], CampaignKind.DISTILLATION, None),
    ],
)
def test_many_cards_at_one_site_are_watched_and_many_cards_and_devices_one_hands(
    pooled: list[str], kind: CampaignKind, bar: str | None
) -> None:
    crowd = Crowd(62)
    crowd.ordinary(40)
    _, _, pool = grown(crowd, 0)
    proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("payer", "device", "network", "client", "content")}
    found = Findings(proofs, pooled=pooled, explanations=["one_site"], origins=pooled, is_organised=True)
    found.is_one_hand = "payer" in pooled and "device" in pooled
    assert kind_of(found, proofs.keys(), set(pooled), 90) is kind
    campaign = Campaign("c-1", BEGIN_MS, pool, CampaignKind.DISTILLATION, Status.CONFIRMED, proofs=proofs)
    campaign.pooled, campaign.findings, campaign.organised = pooled, found, 1
    assert barred_by(campaign) == bar


@pytest.mark.parametrize(
    ("pools", "bodies", "wrappers", "expected"),
    [
        ({"payer", "device"}, 300.0, 1.0, False),
        ({"payer", "device"}, 20.0, 8.0, False),
        ({"device", "network"}, 300.0, 8.0, True),
        ({"payer", "device"}, 2.0, 2.0, True),
        ({"payer"}, 300.0, 8.0, True),
        ({"payer", "network"}, 300.0, 8.0, True),
        (set(), 300.0, 8.0, True),
    ],
)
def test_one_hand_may_want_several_answers_to_each_of_many_prompts(
    pools: set[str], bodies: float, wrappers: float, expected: bool
) -> None:
    queue = Queue(wrappers=wrappers, shared_bodies=0.9, bodies=bodies)
    assert is_public(queue, pools, is_held=True) == expected


def test_two_applications_of_one_kind_are_programs_as_one_is() -> None:
    crowd = Crowd(63)
    crowd.ordinary(600)
    first = len(crowd.people)
    for number in range(120):
        links = {"ja4": [f"app-{number % 2}"], "systems": [f"persona-{number % 2}"]}
        crowd._person(crowd._old_ms(), [f"style-{n}" for n in range(6)], 0.6, links)
    people, _, pool = grown(crowd, first)
    assert is_one_program(people, pool)
    crowd.people[first:] = [person._replace(links=person.links | {"systems": []}) for person in crowd.people[first:]]
    people, _, pool = grown(crowd, first)
    assert not is_one_program(people, pool)


@pytest.mark.parametrize(("users", "is_program"), [(0.61, False), (0.9, True)])
def test_a_system_prompt_that_clearly_not_all_have_is_that_of_one_wrapper(users: float, is_program: bool) -> None:
    """Everybody has some system prompt, and one library; who uses a program has its own prompt."""
    crowd = Crowd(67)
    crowd.ordinary(600)
    first = len(crowd.people)
    for number in range(200):
        system = "own" if number < 200 * users else f"system-{number % 9}"
        links = {"ja4": ["library"], "systems": [system]}
        crowd._person(crowd._old_ms(), [f"wrapper-{n}" for n in range(6)], 0.4, links)
    people, _, pool = grown(crowd, first)
    assert pool.size > 190
    assert is_one_program(people, pool, ("system",)) is is_program


def test_a_companys_cards_and_its_program_are_no_campaign_and_many_cards_are() -> None:
    proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("payer", "network", "client", "content")}
    kinds = [
        kind_of(Findings(proofs, several=["payer"], explanations=explanations), proofs.keys(), pooled, 30)
        for explanations, pooled in (([], set()), (["one_program"], set()), (["one_program"], {"payer"}))
    ]
    assert kinds == [CampaignKind.DISTILLATION, CampaignKind.COHORT, CampaignKind.DISTILLATION]


def test_most_members_client_is_no_program_where_the_others_have_several() -> None:
    """A campaign on its own client and on popular ones: of so many kinds of clients no program is made."""
    crowd = Crowd(66)
    crowd.ordinary(600)
    first = len(crowd.people)
    for number in range(120):
        client = "own" if number % 20 < 13 else f"client-{1 + number % 4}"
        crowd._person(crowd._old_ms(), [f"wrapper-{n}" for n in range(6)], 0.4, {"ja4": [client]})
    people, _, pool = grown(crowd, first)
    assert not is_one_program(people, pool)
    crowd.people[first:] = [person._replace(links=person.links | {"ja4": ["own"]}) for person in crowd.people[first:]]
    people, _, pool = grown(crowd, first)
    assert is_one_program(people, pool)


@pytest.mark.parametrize(("is_queue", "kind"), [(True, CampaignKind.DISTILLATION), (False, CampaignKind.COHORT)])
def test_cells_of_cards_that_are_dealt_the_same_work_are_one_operation(is_queue: bool, kind: CampaignKind) -> None:
    """Each account has one card and nothing ties card to card, but who has the same asks what everybody asks."""
    crowd = Crowd(64)
    crowd.ordinary(600)
    first, wrappers = len(crowd.people), [f"item-{n}" for n in range(12)]
    for number in range(120):
        cell = number % 10
        own = wrappers if is_queue else [f"{wrapper}-{cell // 2}" for wrapper in wrappers]
        crowd._person(crowd._burst_ms(), own, 0.4, {"payment_fp": f"card-{cell}"})
    people, profiles, pool = grown(crowd, first)
    found = examine(people, profiles, pool, {})
    assert not found.pooled
    assert ("payer" in found.crossed) == is_queue
    assert kind_of(found, found.proofs.keys(), set(), 120) is kind


def test_households_of_a_neighbourhood_are_no_account_network() -> None:
    """They share cards, devices and networks, and neither a client nor an hour."""
    proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("payer", "device", "network")}
    found = Findings(proofs, pooled=[*proofs])
    assert kind_of(found, proofs.keys(), set(proofs), 40) is CampaignKind.COHORT
    assert kind_of(found, proofs.keys() | {"client"}, set(proofs), 40) is CampaignKind.ACCOUNT_NETWORK


def test_what_was_proved_of_the_work_is_held_against_links_proved_later() -> None:
    crowd = Crowd(43)
    crowd.ordinary(600)
    first, rng = len(crowd.people), crowd.rng
    for number in range(120):
        links: dict[str, Any] = {"ja4": ["sdk"], "ip_prefixes": [f"rack-{rng.integers(12)}" for _ in range(2)]}
        links |= {"payment_fp": f"card-{number % 8}"} if number < 100 else {}
        crowd._person(crowd._old_ms(), ["letter-1", "letter-2"] if number >= 100 else [], 0.5 * (number >= 100), links)
    people, profiles, pool = grown(crowd, first)
    assert "payer" in examine(people, profiles, pool, {"content": np.inf}).proofs
    assert "payer" in examine(people, profiles, pool, {"content": np.inf}, proved=["content"]).idle


def test_what_looked_like_an_organisation_passes_for_one_for_an_hour() -> None:
    crowd = Crowd(65)
    crowd.ordinary(600)
    people, profiles, pool = grown(crowd, floor(crowd, networks=6))
    campaign = Campaign("c-1", BEGIN_MS, pool)
    assess(campaign, people, profiles, pool.share < 0.5, BEGIN_MS, ranking=Ranking([]))
    left = [campaign.organised]
    crowd.people[600:] = [
        person._replace(links=person.links | {"ip_prefixes": [f"exit-{number % 30}"]})
        for number, person in enumerate(crowd.people[600:])
    ]
    people, profiles, campaign.pool = grown(crowd, 600)
    for look in range(1, 8):
        assess(campaign, people, profiles, pool.share < 0.5, BEGIN_MS + look * TICK_MS, ranking=Ranking([]))
        left.append(campaign.organised)
    assert not campaign.findings.is_organised
    assert left == [6, 5, 4, 3, 2, 1, 0, 0]
