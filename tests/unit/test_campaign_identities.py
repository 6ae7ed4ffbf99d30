"""An id and its proofs stay with the members, whatever a look makes of the pools."""

import numpy as np

from stream_app.detection.campaigns.growth import Pool, grow
from stream_app.detection.campaigns.identities import bring_back, expel, follow_members
from stream_app.detection.campaigns.links import Population, population
from stream_app.detection.campaigns.pools import joins_strangers, merged
from stream_app.detection.campaigns.profiles import Floats, Profiles
from stream_app.detection.campaigns.records import Campaign, Status
from stream_app.detection.signals import Profile, Signal
from tests.unit.campaign_worlds import BEGIN_MS, Crowd

TENANTS = 120


def people() -> Population:
    crowd = Crowd(1)
    crowd.ordinary(TENANTS)
    profiles = Profiles()
    for signal in crowd.signals(3.0):
        profiles.add(signal)
    return population(profiles, np.ones(len(profiles), np.bool_))


def share(count: int, first: int, last: int) -> Floats:
    held = np.zeros(count)
    held[first:last] = 0.99
    return held


def follow(held: Floats, *pools: Floats) -> tuple[Campaign, list[Campaign]]:
    """The first pool is that of the confirmed campaign which held these; the others are new."""
    old = Campaign("c-old", BEGIN_MS, Pool(pools[0]), status=Status.CONFIRMED)
    campaigns = [old, *(Campaign(f"c-{number}", BEGIN_MS, Pool(pool)) for number, pool in enumerate(pools[1:]))]
    follow_members(people(), campaigns, {"c-old": held}, BEGIN_MS)
    return old, [campaign for campaign in campaigns if campaign is not old]


def test_a_campaign_expelled_from_the_crowd_it_was_joined_with_keeps_its_id() -> None:
    held, crowd = share(TENANTS, 0, 20), share(TENANTS, 50, 90)
    old, (other,) = follow(held, crowd, share(TENANTS, 0, 18))
    assert old.status is Status.CONFIRMED
    assert old.pool.size < 20 < other.pool.size
    assert not old.pool.share[50:].any()


def test_strangers_do_not_inherit_a_verdict() -> None:
    crowd = share(TENANTS, 50, 90)
    old, (other,) = follow(share(TENANTS, 0, 20), crowd)
    assert not old.pool.share.any()
    assert (other.pool.share == crowd).all()
    assert other.status is Status.CANDIDATE
    assert not other.proofs


def test_a_campaign_that_grows_or_shrinks_is_the_same() -> None:
    for now in (share(TENANTS, 0, 60), share(TENANTS, 0, 12), share(TENANTS, 0, 3)):
        old, others = follow(share(TENANTS, 0, 20), now)
        assert (old.pool.share == now).all()
        assert others == []


def listed(campaign_id: str, pool: Floats, status: Status, begun_ms: int = BEGIN_MS) -> Campaign:
    return Campaign(campaign_id, begun_ms, Pool(pool), status=status, is_listed=True)


def test_a_confirmed_campaign_keeps_its_id_when_it_joins_an_older_candidate() -> None:
    customers = listed("c-customers", share(TENANTS, 0, 10), Status.CANDIDATE)
    confirmed = listed("c-known", share(TENANTS, 0, 40), Status.CONFIRMED, BEGIN_MS + 1)
    kept, gone = merged(people(), [customers, confirmed])
    assert kept == [confirmed]
    assert gone == [(customers, confirmed)]
    assert confirmed.aliases == ["c-customers"]


def test_what_a_person_dismissed_stays_dismissed_when_a_younger_confirmed_one_joins_it() -> None:
    dismissed = listed("c-dismissed", share(TENANTS, 0, 40), Status.DISMISSED)
    confirmed = listed("c-young", share(TENANTS, 0, 30), Status.CONFIRMED, BEGIN_MS + 1)
    assert merged(people(), [dismissed, confirmed]).kept == [dismissed]


def test_a_campaign_parted_from_another_in_the_same_look_comes_back_under_its_id() -> None:
    held = {"c-known": share(TENANTS, 0, 40), "c-other": share(TENANTS, 80, 90)}
    known = listed("c-known", share(TENANTS, 0, 10), Status.CONFIRMED)
    other = listed("c-other", held["c-other"], Status.CONFIRMED, BEGIN_MS + 1)
    other.aliases = ["c-before", "c-known"]
    fresh = Campaign("c-fresh", BEGIN_MS + 2, Pool(share(TENANTS, 0, 38)))
    campaigns = [other, fresh]
    bring_back(campaigns, [(known, other)], held)
    assert [campaign.campaign_id for campaign in campaigns] == ["c-known", "c-other"]
    assert known.pool is fresh.pool
    assert other.aliases == ["c-before"]


def test_a_campaign_whose_members_stay_in_another_is_an_alias_of_it() -> None:
    held = {"c-known": share(TENANTS, 0, 40)}
    known = listed("c-known", share(TENANTS, 0, 10), Status.CONFIRMED)
    other = listed("c-other", share(TENANTS, 0, 60), Status.CONFIRMED)
    campaigns = [other, Campaign("c-fresh", BEGIN_MS, Pool(share(TENANTS, 0, 38)))]
    bring_back(campaigns, [(known, other)], held)
    assert campaigns[0] is other
    assert campaigns[1].campaign_id == "c-fresh"


def test_a_pool_joins_strangers_that_holds_a_confirmed_campaign_and_others_told_of_apart_from_it() -> None:
    confirmed = listed("c-known", share(TENANTS, 0, 40), Status.CONFIRMED)
    customers = listed("c-customers", share(TENANTS, 60, 90), Status.CANDIDATE)
    users = listed("c-users", share(TENANTS, 95, 110), Status.CANDIDATE)
    assert joins_strangers([confirmed, customers], Pool(share(TENANTS, 0, 90)))
    assert not joins_strangers([confirmed, customers], Pool(share(TENANTS, 0, 60)))
    assert not joins_strangers([customers, users], Pool(share(TENANTS, 60, 110)))


def crowd_beside(status: Status) -> list[bool]:
    """Who is in a crowd of a campus and twenty accounts of an operation, known by a campaign, without its cliques."""
    profiles, rng = Profiles(), np.random.default_rng(1)
    for number in range(800):
        profile = Profile(payment_fp=f"card-{number}", ip_prefixes=[f"home-{number // 2}"], ja4=[f"c-{number % 40}"])
        if number < 60:
            pool = [f"proxy-{rng.integers(9)}"]
            profile = Profile(payment_fp=f"bought-{number % 6}", ip_prefixes=pool, ja4=["tool"])
        elif number < 105:
            profile.ip_prefixes = [f"campus-{number % 3}"]
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 1, profile))
    everybody = population(profiles, np.ones(len(profiles), np.bool_))
    operation = listed("c-operation", share(800, 0, 60), status)
    grow(everybody, operation.pool)
    crowd = Campaign("c-crowd", BEGIN_MS, Pool(share(800, 40, 105)))
    expel(everybody, [operation, crowd], BEGIN_MS)
    assert np.count_nonzero(operation.pool.share > 0.5) == 60
    return [bool(one) for one in crowd.pool.share > 0.5]


def test_a_crowd_does_not_become_a_confirmed_campaign_for_the_clique_that_is_taken_out_of_it() -> None:
    assert crowd_beside(Status.CONFIRMED) == [40 <= number < 105 for number in range(800)]


def test_two_honest_groups_are_parted_though_one_of_them_is_known_already() -> None:
    assert not any(crowd_beside(Status.CANDIDATE)[60:])
