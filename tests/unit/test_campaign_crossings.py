"""Whether what members ask has to do with the card, device or network each has: one operation, or several customers."""

import numpy as np
import pytest

from stream_app.detection.campaigns.assessment import assess
from stream_app.detection.campaigns.confirmation import CampaignKind, examine, kind_of
from stream_app.detection.campaigns.crossings import crossings_of, idle_of, work_of
from stream_app.detection.campaigns.growth import Pool, grow
from stream_app.detection.campaigns.links import Population, population
from stream_app.detection.campaigns.opinions import Ranking
from stream_app.detection.campaigns.profiles import Profiles
from stream_app.detection.campaigns.proofs import ORIGINS, Proof
from stream_app.detection.campaigns.records import Campaign, Status
from stream_app.detection.campaigns.verdicts import may_act
from tests.unit.campaign_worlds import BEGIN_MS, Crowd


def grown(crowd: Crowd, first: int) -> tuple[Population, Profiles, Pool]:
    """The pool of those added since ``first``, among the others."""
    profiles = Profiles()
    for signal in crowd.signals(3.0):
        profiles.add(signal)
    people = population(profiles, np.ones(len(profiles), np.bool_))
    names = {person.tenant_id for person in crowd.people[first:]}
    pool = Pool(np.array([float(name in names) for name in profiles.tenant_ids]))
    for _ in range(3):
        grow(people, pool)
    return people, profiles, pool


def hosted(crowd: Crowd, customers: int, *, of: int, are_idle: bool = False) -> int:
    """Customers with a card, two devices and wrappers of their own, on one provider's addresses with its client.

    Where they ``are_idle`` they ask nothing of their own, and as many others without cards do.
    """
    first, rng = len(crowd.people), crowd.rng

    def links() -> dict[str, object]:
        return {"ja4": ["sdk"], "ip_prefixes": [f"rack-{rng.integers(12)}" for _ in range(2)]}

    for customer in range(customers):
        for number in range(of):
            own = {"payment_fp": f"card-{customer}", "signup_fp": f"phone-{customer}-{number % 2}"}
            wrappers = [] if are_idle else [f"customer-{customer}-{n}" for n in range(3)]
            crowd._person(crowd._old_ms(), wrappers, 0.4 if wrappers else 0.0, links() | own)
    for _ in range(customers * of if are_idle else 0):
        crowd._person(crowd._old_ms(), ["plugin-1", "plugin-2"], 0.4, links())
    return first


def is_of_several(people: Population, pool: Pool) -> bool:
    return any(crossing.is_of_several for crossing in crossings_of(people, work_of(people, pool)).values())


@pytest.mark.parametrize("without", [(), ("payment_fp",), ("signup_fp",), ("burst",)])
def test_in_one_operation_no_link_tells_what_an_account_asks(without: tuple[str, ...]) -> None:
    crowd = Crowd(41)
    crowd.ordinary(600)
    first = len(crowd.people)
    crowd.campaign(120, mix=0.2, without=without)
    people, profiles, pool = grown(crowd, first)
    work = work_of(people, pool)
    assert idle_of(people, pool, work, ORIGINS) == []
    assert not is_of_several(people, pool)
    assert "content" in examine(people, profiles, pool, {}).proofs


def test_customers_of_one_hosting_provider_are_several_and_their_content_is_none_of_the_pools() -> None:
    crowd = Crowd(42)
    crowd.ordinary(600)
    people, profiles, pool = grown(crowd, hosted(crowd, 8, of=15))
    assert is_of_several(people, pool)
    found = examine(people, profiles, pool, {})
    assert "several_customers" in found.explanations
    assert "content" not in found.proofs
    assert kind_of(found, {*found.proofs, "content"}, {*found.pooled}, 120) is CampaignKind.COHORT


def test_cards_of_those_who_do_not_do_the_work_hold_no_verdict() -> None:
    crowd = Crowd(43)
    crowd.ordinary(600)
    people, profiles, pool = grown(crowd, hosted(crowd, 5, of=12, are_idle=True))
    found = examine(people, profiles, pool, {})
    assert {"payer", "device"} <= {*found.idle}
    assert found.origins == []
    assert kind_of(found, {*found.proofs}, {*found.pooled}, 120) is CampaignKind.COHORT


def test_where_nobody_asks_anything_there_is_nothing_to_tell() -> None:
    crowd = Crowd(44)
    crowd.ordinary(300)
    people, _, pool = grown(crowd, 300)
    work = work_of(people, pool)
    assert idle_of(people, pool, work, ORIGINS) == []
    assert not is_of_several(people, pool)
    assert not any(crossing.is_of_one for crossing in crossings_of(people, work).values())


@pytest.mark.parametrize(("cards", "origins"), [(4, []), (12, ["payer"])])
def test_a_companys_cards_do_not_say_how_all_of_a_pool_came_to_be(cards: int, origins: list[str]) -> None:
    crowd = Crowd(45)
    crowd.ordinary(600)
    first, rng = len(crowd.people), crowd.rng
    for number in range(60):
        links = {"ja4": ["sdk"], "payment_fp": f"card-{number % cards}"}
        links |= {"ip_prefixes": [f"rack-{rng.integers(16)}" for _ in range(3)]}
        crowd._person(crowd._old_ms(), ["queue-1", "queue-2", "queue-3"], 0.4, links)
    people, profiles, pool = grown(crowd, first)
    found = examine(people, profiles, pool, {})
    assert "payer" in found.proofs
    assert found.origins == origins


def test_what_was_proved_by_accounts_that_do_other_work_is_proved_no_more() -> None:
    crowd = Crowd(43)
    crowd.ordinary(600)
    people, profiles, pool = grown(crowd, hosted(crowd, 5, of=12, are_idle=True))
    proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("payer", "device", "network", "client", "content")}
    campaign = Campaign("c-1", BEGIN_MS, pool, CampaignKind.DISTILLATION, Status.CONFIRMED, proofs=proofs)
    campaign.pooled = ["network", "payer"]
    assert may_act(campaign)
    assess(campaign, people, profiles, pool.share < 0.5, BEGIN_MS, ranking=Ranking([]))
    assert {"payer", "device"}.isdisjoint(campaign.proofs)
    assert not may_act(campaign)
