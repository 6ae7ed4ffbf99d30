"""One card or one device behind a pool: whom it explains, and whom it does not."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from stream_app.detection.campaigns.assessment import retract_or_keep
from stream_app.detection.campaigns.confirmation import CampaignKind, Findings, examine, kind_of
from stream_app.detection.campaigns.customers import Customer, customers_inside, customers_of, is_mostly_one
from stream_app.detection.campaigns.entries import plain_header
from stream_app.detection.campaigns.growth import Pool, grow
from stream_app.detection.campaigns.links import Population, population
from stream_app.detection.campaigns.profiles import Profiles
from stream_app.detection.campaigns.proofs import Proof, is_held
from stream_app.detection.campaigns.records import Campaign, Status, Word
from stream_app.detection.campaigns.verdicts import may_act, may_challenge
from tests.unit.campaign_worlds import BEGIN_MS, DAY_MS, Crowd


class World(NamedTuple):
    people: Population
    profiles: Profiles
    pool: Pool


def world(
    count: int,
    paid: int,
    *,
    devices: int = 0,
    cards: int = 0,
    wrappers: int = 6,
    mix: float = 0.5,
    one_device: range = range(0),
    is_repeating: bool = False,
    is_of_one_client: bool = False,
) -> World:
    """A pool of tenants from one pool of networks, every other one with its client; one card pays for ``paid`` of them.

    They have so many ``cards`` and sign-up ``devices``, 0 for one each; those of ``one_device`` from one. Of their
    prompts ``mix`` have one of these ``wrappers``, around a few materials where they are ``is_repeating``.
    """
    crowd = Crowd(5)
    crowd.ordinary(400)
    before = len(crowd.people)
    for number in range(count):
        links: dict[str, Any] = {"ip_prefixes": [f"rack-{crowd.rng.integers(40)}" for _ in range(2)]}
        if number % 2 or is_of_one_client:
            links["ja4"] = ["gateway"]
        if number < paid:
            links["payment_fp"] = "one-card"
        if cards:
            links["payment_fp"] = f"card-{number % cards}"
        if devices:
            links["signup_fp"] = f"device-{number % devices}"
        if number in one_device:
            links["signup_fp"] = "one-device"
        own = crowd._own() | links
        crowd._person(
            BEGIN_MS - 30 * DAY_MS * (number + 1),
            [f"wrapper-{n}" for n in range(wrappers)],
            mix,
            own,
            is_repeating=is_repeating,
        )
    names = {person.tenant_id for person in crowd.people[before:]}
    profiles = Profiles()
    for signal in crowd.signals(2.0):
        profiles.add(signal)
    people = population(profiles, np.ones(len(profiles), np.bool_))
    pool = Pool(np.array([float(name in names) for name in profiles.tenant_ids]))
    grow(people, pool, rounds=3)
    assert np.count_nonzero(pool.share > 0.5) == pytest.approx(count, abs=2)
    return World(people, profiles, pool)


def explained(found: World) -> list[str]:
    return [customer.group for customer in customers_of(found.people, found.pool, {})]


def acts(found: World) -> bool:
    """Whether a pool that its evidence confirms, and nothing ordinary explains, may be acted on."""
    findings = examine(found.people, found.profiles, found.pool, {})
    proofs, kind = findings.proofs, kind_of(findings, findings.proofs.keys(), {*findings.pooled}, 90)
    assert "payer" in proofs
    assert kind is CampaignKind.DISTILLATION
    campaign = Campaign("c-1", BEGIN_MS, found.pool, kind, Status.CONFIRMED, proofs=proofs, findings=findings)
    campaign.pooled, campaign.organised = findings.pooled, int(findings.is_organised)
    return may_act(campaign)


def test_an_operation_is_not_explained_by_the_card_that_pays_for_most_of_it() -> None:
    assert explained(world(90, 58, devices=6)) == []


def test_customers_who_pay_for_themselves_do_not_make_a_platform_an_operation() -> None:
    assert explained(world(90, 58)) == ["payer"]


def test_those_whom_the_card_leaves_must_be_a_pool_themselves() -> None:
    assert explained(world(90, 78, devices=6)) == ["payer"]


def test_without_the_same_work_a_card_explains_everybody() -> None:
    assert explained(world(90, 58, devices=6, mix=0.0)) == ["payer"]


def test_another_customer_explains_those_whom_the_first_leaves() -> None:
    assert explained(world(90, 58, one_device=range(90))) == ["payer", "device"]


def test_a_customer_of_all_is_beyond_chance_and_of_hardly_more_than_half_is_not() -> None:
    clear = customers_of(*world(24, 24)[::2], {})
    assert clear == [Customer("payer", is_clear=True)]
    assert customers_of(*world(24, 16)[::2], {}) == [Customer("payer", is_clear=False)]


def test_a_verdict_ends_when_what_explains_it_is_beyond_chance() -> None:
    proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("payer", "network", "genesis", "content")}
    campaign = Campaign("c-1", BEGIN_MS, Pool(np.zeros(1)), status=Status.CONFIRMED, doubts=6, proofs=proofs)
    campaign.pooled = ["network"]
    campaign.findings = Findings(explanations=["one_device", "one_program"])
    statuses = []
    for unclear in (["one_device"], []):
        campaign.findings.unclear = unclear
        retract_or_keep(campaign)
        statuses.append(campaign.status)
    assert statuses == [Status.CONFIRMED, Status.RETRACTED]


def test_pools_of_two_links_once_proved_are_no_customer_later() -> None:
    found = world(40, 34)
    assert examine(found.people, found.profiles, found.pool, {}).explanations == ["one_payer"]
    assert examine(found.people, found.profiles, found.pool, {}, ["network", "device"]).explanations == []


def test_what_comes_through_one_gateway_is_held_by_how_accounts_came_to_be() -> None:
    for devices in (0, 6):
        found = world(40, 0, devices=devices)
        groups = examine(found.people, found.profiles, found.pool, {}).proofs.keys()
        assert {"network", "client", "content"} <= groups
        assert is_held(groups, ["network"]) is bool(devices)


def test_a_card_that_pays_for_some_says_nothing_of_how_the_others_came_to_be() -> None:
    assert not acts(world(90, 40))
    assert acts(world(90, 40, devices=6))


def test_a_card_and_a_device_are_two_origins_where_they_are_not_of_the_same_people() -> None:
    assert not acts(world(90, 40, one_device=range(40)))
    assert acts(world(90, 40, one_device=range(20, 60)))


def test_one_organisation_may_have_a_client_and_many_devices_but_not_many_cards_as_well() -> None:
    assert acts(world(90, 0, devices=6, cards=3))
    assert not acts(world(90, 0, devices=6, cards=3, is_of_one_client=True))
    assert acts(world(90, 0, devices=6, cards=7, is_of_one_client=True))


def test_few_prompts_do_not_make_public_material_clear() -> None:
    unclear = {}
    for mix in (0.04, 0.5):
        found = world(40, 0, devices=6, mix=mix, is_repeating=True)
        findings = examine(found.people, found.profiles, found.pool, {})
        assert "public_material" in findings.explanations
        unclear[mix] = "public_material" in findings.unclear
    assert unclear == {0.04: True, 0.5: False}


@pytest.mark.parametrize(("devices", "cards", "wrappers"), [(6, 0, 8), (0, 6, 8), (6, 7, 2), (6, 7, 8)])
def test_who_has_many_cards_and_devices_in_common_may_want_some_answers_to_each_prompt(
    devices: int, cards: int, wrappers: int
) -> None:
    found = world(60, 0, devices=devices, cards=cards, wrappers=wrappers, is_repeating=True)
    is_one_hand = bool(devices and cards) and wrappers == 8
    explanations = examine(found.people, found.profiles, found.pool, {}).explanations
    assert explanations == ([] if is_one_hand else ["public_material"])


def pool_of(members: list[dict[str, Any]]) -> tuple[World, list[int]]:
    """A pool of tenants with these links, all of whom ask alike, among four hundred others; and their rows."""
    crowd = Crowd(5)
    crowd.ordinary(400)
    before = len(crowd.people)
    for links in members:
        crowd._person(BEGIN_MS - 30 * DAY_MS, ["wrapper"], 0.5, crowd._own() | links)
    names = [person.tenant_id for person in crowd.people[before:]]
    profiles = Profiles()
    for signal in crowd.signals(1.0):
        profiles.add(signal)
    pool = Pool(np.array([float(name in names) for name in profiles.tenant_ids]))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    return World(people, profiles, pool), [profiles.rows[name] for name in names]


def accounts(count: int, cards: int, devices: int, client: str) -> list[dict[str, Any]]:
    """Accounts of an operation or an organisation, three in five with a card, every other with its client."""
    return [
        {"signup_fp": f"{client}-device-{number % devices}"}
        | ({"payment_fp": f"{client}-card-{number % cards}"} if number % 5 < 3 else {})
        | ({"ja4": [client]} if number % 2 else {})
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("people", "cards", "pooled", "is_found"),
    [
        (40, 1, {"payer"}, True),
        (40, 2, {"payer"}, True),
        (40, 8, {"payer"}, False),
        (40, 1, {"payer", "device"}, False),
        (40, 1, set[str](), False),
        (15, 1, {"payer"}, False),
    ],
)
def test_a_customers_people_inside_a_campaigns_pool_are_found(
    people: int, cards: int, pooled: set[str], is_found: bool
) -> None:
    """An exam platform's, whom its card or two tie to each other; its tablets, if devices count, are many."""
    found, rows = pool_of([*accounts(60, 10, 7, "harness"), *accounts(people, cards, 12, "platform")])
    inside = np.flatnonzero(customers_inside(found.people, found.pool, pooled))
    assert inside.tolist() == (sorted(rows[60:]) if is_found else [])


@pytest.mark.parametrize(
    ("cards", "neighbours", "is_one"), [(3, 0, True), (3, 30, True), (3, 65, False), (10, 0, False), (10, 30, False)]
)
def test_cards_of_neighbours_are_not_counted_as_an_organisations(cards: int, neighbours: int, is_one: bool) -> None:
    """A chain of schools has three cards and many tablets; eight cards of others in its pool are none of its own."""
    found, _ = pool_of([*accounts(60, cards, 13, "chain"), *accounts(neighbours, 8, 7, "company")])
    assert is_mostly_one(found.people, found.pool) is is_one


@pytest.mark.parametrize(("cards", "devices", "is_one_hand"), [(10, 2, False), (2, 13, False), (10, 13, True)])
def test_many_cards_and_many_devices_at_one_site_are_one_hands(cards: int, devices: int, is_one_hand: bool) -> None:
    found, _ = pool_of([links | {"ip_prefixes": ["office"]} for links in accounts(60, cards, devices, "chain")])
    grow(found.people, found.pool, rounds=3)
    findings = examine(found.people, found.profiles, found.pool, {})
    assert findings.is_organised
    assert findings.is_one_hand is is_one_hand


@pytest.mark.parametrize(("carded", "is_brought"), [(0, False), (10, False), (40, True)])
def test_devices_of_a_resellers_accounts_say_nothing_of_the_crowd_around_them(carded: int, is_brought: bool) -> None:
    crowd = [
        {"ip_prefixes": [f"rack-{n % 4}"]} | ({"payment_fp": f"card-{n % 8}"} if n < carded else {}) for n in range(80)
    ]
    found, _ = pool_of([*accounts(34, 1, 2, "reseller"), *crowd])
    grow(found.people, found.pool, rounds=3)
    assert examine(found.people, found.profiles, found.pool, {}, ["device"]).is_brought is is_brought


def test_nobody_is_acted_on_for_asking_alike_through_one_gateway() -> None:
    proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("client", "network", "content")}
    campaign = Campaign("c-1", BEGIN_MS, Pool(np.zeros(1)), CampaignKind.DISTILLATION, Status.CONFIRMED, proofs=proofs)
    assert watched_only(campaign) == "no_links"
    campaign.pooled = ["network"]
    assert not may_act(campaign)
    assert watched_only(campaign) == "no_origin"
    campaign.is_even = True
    assert not may_challenge(campaign)
    links = {group: campaign.proofs.pop(group) for group in ("network", "client")}
    assert may_challenge(campaign)
    assert watched_only(campaign) is None
    for group, proof in links.items():
        campaign.proofs[group] = proof
        assert not may_challenge(campaign)
    campaign.proofs["genesis"] = Proof(100.0, 0.0, 20.0)
    assert watched_only(campaign) == "no_origin"
    campaign.proofs["payer"] = Proof(100.0, 0.0, 20.0)
    assert may_act(campaign)
    assert watched_only(campaign) is None


@pytest.mark.parametrize(
    ("of", "bar"),
    [
        ({"kind": CampaignKind.ACCOUNT_NETWORK}, "no_content"),
        ({"shared_until_ms": BEGIN_MS + DAY_MS}, "partners"),
        ({"doubts": 6}, "explained"),
        ({"organised": 1}, "organisation"),
        ({"findings": Findings(is_brought=False)}, "no_origin"),
        ({"status": Status.CANDIDATE, "kind": CampaignKind.COHORT}, None),
        ({"kind": CampaignKind.ACCOUNT_NETWORK, "word": Word(True, "ana", BEGIN_MS, None, 20.0, 0.5)}, None),
    ],
)
def test_people_are_told_why_a_campaign_is_only_watched(of: dict[str, Any], bar: str | None) -> None:
    proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("payer", "network", "genesis")}
    sure: dict[str, Any] = {"kind": CampaignKind.DISTILLATION, "status": Status.CONFIRMED, "pooled": ["payer"]}
    campaign = Campaign("c-1", BEGIN_MS, Pool(np.zeros(1)), proofs=proofs, **sure | of)
    assert watched_only(campaign) == bar


def watched_only(campaign: Campaign) -> str | None:
    return plain_header(campaign).get("watched_only")
