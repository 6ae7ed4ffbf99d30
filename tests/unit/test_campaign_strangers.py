"""Honest groups that have a client, an hour or a product in common with others, and nothing else."""

import numpy as np

from stream_app.detection.campaigns.growth import Pool, grow, refit
from stream_app.detection.campaigns.links import population
from stream_app.detection.campaigns.profiles import Profiles
from stream_app.detection.campaigns.proofs import Pooled, pooled_of
from stream_app.detection.campaigns.records import Status
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import TICK_MS, CampaignStage
from stream_app.detection.signals import Profile, Signal
from tests.unit.campaign_worlds import BEGIN_MS, Crowd

HARD = {"payer", "device", "network"}


def customers(crowd: Crowd, name: str, count: int, client: str, *, values: int = 3, wrappers: int = 0) -> set[str]:
    """Customers of a reseller: its cards, as many devices, six servers, and a product of so many wrappers."""
    first, rng = len(crowd.people), crowd.rng
    for _ in range(count):
        links = {
            "payment_fp": f"{name}-card-{rng.integers(values)}",
            "signup_fp": f"{name}-office-{rng.integers(values)}",
            "ip_prefixes": [f"{name}-rack-{rng.integers(6)}"],
            "ja4": [client],
        }
        product = [f"{name}-{number}" for number in range(wrappers)]
        crowd._person(crowd._burst_ms(), product, 0.8 if product else 0.0, links)
    return {person.tenant_id for person in crowd.people[first:]}


def teams(crowd: Crowd, count: int, each: int) -> set[str]:
    """Customers of one product, each with some tenants, one card, one device and one office."""
    first = len(crowd.people)
    for team in range(count):
        for _ in range(each):
            links = {
                "payment_fp": f"team-{team}",
                "signup_fp": f"admin-{team}",
                "ip_prefixes": [f"office-{team}"],
                "ja4": ["studio"],
                "systems": ["studio-system"],
            }
            crowd._person(crowd._old_ms(), [f"studio-{number}" for number in range(4)], 0.6, links)
    return {person.tenant_id for person in crowd.people[first:]}


def pooled(profiles: Profiles, groups: set[str]) -> Pooled:
    """Groups of links that are pools of values among the first hundred tenants."""
    people = population(profiles, np.ones(len(profiles), np.bool_))
    pool = Pool(np.where(np.arange(len(profiles)) < 100, 1.0, 0.0))
    for _ in range(2):
        refit(people, pool)
    return pooled_of(people, pool, groups)


def looked_at(crowd: Crowd) -> tuple[CampaignStage, set[str]]:
    """The stage after looks at two days, and who was ever denied anything."""
    stage, acted = CampaignStage(), set()
    signals = crowd.signals(2.0)
    for hours in range(6, 49, 6):
        now_ms = BEGIN_MS + hours * 3_600_000
        while signals and signals[0].pane_end_ms <= now_ms:
            stage.take(signals.pop(0))
        told = stage.look(now_ms // TICK_MS * TICK_MS)
        acted |= {verdict.tenant_id for verdict in told if verdict.role in {Role.ACT, Role.BLOCK}}
    return stage, acted


def test_two_customers_whose_programs_have_one_client_are_no_operation() -> None:
    crowd = Crowd(11)
    crowd.ordinary(800)
    resold = customers(crowd, "reseller", 60, "rare-client")
    fleet = customers(crowd, "fleet", 70, "rare-client", values=1, wrappers=2)
    stage, acted = looked_at(crowd)
    for campaign in stage.memory.campaigns:
        is_in = {name for name, row in stage.profiles.rows.items() if campaign.pool.share[row] > 0.5}
        assert not (is_in & resold and is_in & fleet)
    assert acted == set()


def test_customers_of_a_product_are_no_operation_for_having_many_cards_together() -> None:
    crowd = Crowd(12)
    crowd.ordinary(800)
    teams(crowd, 20, 6)
    stage, acted = looked_at(crowd)
    assert acted == set()
    assert [campaign for campaign in stage.campaigns if campaign.status is Status.CONFIRMED] == []


def test_values_are_a_pool_among_those_whom_they_tie() -> None:
    found = {}
    for name in ("teams", "campaign"):
        crowd = Crowd(13)
        crowd.ordinary(500)
        names = teams(crowd, 20, 6) if name == "teams" else crowd.campaign(120)
        profiles = Profiles()
        for signal in crowd.signals(1.5):
            profiles.add(signal)
        people = population(profiles, np.ones(len(profiles), np.bool_))
        pool = Pool(np.array([float(one in names) for one in profiles.tenant_ids]))
        grow(people, pool)
        assert np.count_nonzero(pool.share > 0.5) > 100
        found[name] = set(pooled_of(people, pool, HARD).several)
    assert found == {"teams": set(), "campaign": HARD}


def test_a_campaign_does_not_get_back_the_customers_of_a_reseller_with_its_client() -> None:
    crowd = Crowd(20)
    crowd.ordinary(800)
    members = crowd.campaign(80, mix=0.2, without=("payment_fp", "ip_prefixes"))
    resold = customers(crowd, "reseller", 17, "c-client")
    stage, acted = looked_at(crowd)
    assert not acted & resold
    assert any(len(members & set(campaign.members)) > 40 for campaign in stage.campaigns)


def test_a_company_of_three_cards_and_offices_with_a_product_is_not_acted_on() -> None:
    crowd = Crowd(23)
    crowd.ordinary(800)
    company = customers(crowd, "company", 60, "studio", wrappers=4)
    _, acted = looked_at(crowd)
    assert not acted & company


def test_networks_of_neighbours_and_the_cards_of_a_company_are_no_pool_of_one_operation() -> None:
    """Forty of one office with two cards, and sixty who have nothing but networks in common, each with some others."""
    profiles, rng = Profiles(), np.random.default_rng(3)
    for number in range(900):
        profile = Profile(payment_fp=f"card-{number}", ip_prefixes=[f"home-{number}"], ja4=[f"client-{number % 40}"])
        if number < 40:
            profile = Profile(payment_fp=f"company-{number % 2}", ip_prefixes=["office"], ja4=["studio"])
        elif number < 100:
            profile.ip_prefixes = [f"street-{rng.integers(30)}" for _ in range(3)]
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 1, profile))
    assert pooled(profiles, HARD) == ([], [])


def test_people_of_a_region_are_no_pool_of_one_operation_for_the_cards_of_its_offices() -> None:
    """Eighty pay with cards of one programme and have networks in common; twenty more of an office have two cards."""
    profiles, rng = Profiles(), np.random.default_rng(4)
    for number in range(1200):
        is_near, client = number < 100, "client-1" if number < 100 else f"client-{number % 4}"
        profile = Profile(payment_fp=f"card-{number}", ip_prefixes=[f"home-{number}"], ja4=[client])
        profile.payment_bin = "447208" if is_near else f"{rng.integers(200)}"
        if is_near:
            profile.ip_prefixes = [f"street-{rng.integers(30)}" for _ in range(3)]
        if number < 20:
            profile.payment_fp = f"office-{number % 2}"
        profiles.add(Signal(f"t{number:04}", 0, 0, BEGIN_MS, 1, profile))
    assert pooled(profiles, {"payer", "network", "content"}) == ([], [])


def test_cards_of_many_offices_in_a_region_are_no_pool_for_its_networks_nor_these_for_the_cards() -> None:
    """Ten offices of ten with a card each, whose people live in the same thirty streets."""
    profiles, rng = Profiles(), np.random.default_rng(5)
    for number in range(1200):
        profile = Profile(payment_fp=f"card-{number}", ip_prefixes=[f"home-{number}"], ja4=[f"client-{number % 4}"])
        if number < 100:
            profile.payment_fp = f"office-{number % 10}"
            profile.ip_prefixes = [f"street-{rng.integers(30)}" for _ in range(3)]
        profiles.add(Signal(f"t{number:04}", 0, 0, BEGIN_MS, 1, profile))
    assert pooled(profiles, {"payer", "network", "content"}) == ([], [])
