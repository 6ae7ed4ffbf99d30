"""What becomes a pool, what is left out of it, and what its values weigh."""

import numpy as np

from stream_app.detection.campaigns.cliques import expel_cliques
from stream_app.detection.campaigns.growth import Pool, grow
from stream_app.detection.campaigns.likelihoods import Weights, by_group, fit
from stream_app.detection.campaigns.links import KINDS, Population, incidence, population
from stream_app.detection.campaigns.pools import Tried, fresh_pools, is_habit, leave_strangers
from stream_app.detection.campaigns.profiles import Flags, Profiles
from stream_app.detection.campaigns.records import Campaign, Status
from tests.unit.campaign_worlds import Crowd


def world(crowd: Crowd) -> tuple[Population, Profiles]:
    profiles = Profiles()
    for signal in crowd.signals(2.0):
        profiles.add(signal)
    return population(profiles, np.ones(len(profiles), np.bool_)), profiles


def those_with(profiles: Profiles, names: set[str]) -> Flags:
    return np.array([name in names for name in profiles.tenant_ids])


def added(crowd: Crowd, count: int, **links: object) -> set[str]:
    """Old accounts that share these links, beside all that people carry anyway."""
    first = len(crowd.people)
    for _ in range(count):
        crowd._person(crowd._old_ms(), [], 0.0, links)
    return {person.tenant_id for person in crowd.people[first:]}


def test_users_of_a_popular_client_are_no_pool() -> None:
    crowd = Crowd(21)
    crowd.ordinary(500)
    users = added(crowd, 60, ja4=["popular"])
    team = added(crowd, 30, ja4=["popular-2"], payment_fp="team")
    people, profiles = world(crowd)
    pools = [pool for pool, _ in fresh_pools(people, [], Tried())]
    assert all(pool.share[those_with(profiles, users)].mean() < 0.5 for pool in pools)
    assert any(pool.share[those_with(profiles, team)].mean() > 0.8 for pool in pools)
    assert not any(is_habit(pool) for pool in pools)


def test_a_small_team_that_only_its_own_card_ties_to_a_pool_is_left_out_of_it() -> None:
    crowd = Crowd(22)
    crowd.ordinary(400)
    names = crowd.campaign(80, share=0.8)
    team = added(crowd, 5, payment_fp="team", ip_prefixes=["office"])
    people, profiles = world(crowd)
    is_theirs, is_team = those_with(profiles, names), those_with(profiles, team)
    pool = Pool((is_theirs | is_team).astype(np.float64))
    grow(people, pool)
    assert pool.share[is_team].mean() > 0.8
    expelled = expel_cliques(people, pool)
    assert any((clique & is_team).sum() == len(team) for clique in expelled)
    assert pool.share[is_team].max() < 0.5
    assert pool.share[is_theirs].mean() > 0.9


def test_a_larger_pool_is_parted_from_a_confirmed_campaign_whose_members_do_not_fit_its_others() -> None:
    crowd = Crowd(24)
    crowd.ordinary(600)
    names = crowd.campaign(40, share=0.8)
    customers = added(crowd, 120, ja4=["product"], systems=["product"], ip_prefixes=["gateway"])
    people, profiles = world(crowd)
    is_theirs, is_customer = those_with(profiles, names), those_with(profiles, customers)
    campaign = Campaign("c-1", 0, Pool(is_theirs.astype(np.float64)), status=Status.CONFIRMED)
    grow(people, campaign.pool)
    pool = Pool((is_theirs | is_customer).astype(np.float64))
    leave_strangers(people, [campaign], pool)
    assert pool.share[is_theirs].max() < 0.5
    assert pool.share[is_customer].mean() > 0.9


def test_a_part_of_a_campaign_stays_in_the_pool_of_all() -> None:
    crowd = Crowd(25)
    crowd.ordinary(600)
    names = crowd.campaign(120, share=0.8)
    people, profiles = world(crowd)
    is_theirs, is_part = those_with(profiles, names), those_with(profiles, set(sorted(names)[:40]))
    campaign = Campaign("c-1", 0, Pool(is_part.astype(np.float64)), status=Status.CONFIRMED)
    pool = Pool(is_theirs.astype(np.float64))
    leave_strangers(people, [campaign], pool)
    assert (pool.share == is_theirs).all()


def test_neighbours_of_a_campaigns_exits_bring_their_own_neighbours_into_no_pool() -> None:
    crowd = Crowd(33)
    quarters = np.array([f"street-{number}" for number in range(710)]).reshape(-1, 10)  # nine subscribers a street
    for number in range(1600):
        homes = crowd.rng.choice(quarters[number % len(quarters)], 4, replace=False)
        added(crowd, 1, ip_prefixes=homes.tolist())
    names = crowd.campaign(100, without=["ip_prefixes"])
    exits = crowd.rng.choice(quarters[:23].ravel(), 40, replace=False)
    for place, person in enumerate(crowd.people):
        if person.tenant_id in names and crowd.rng.random() < 0.8:
            links = person.links | {"ip_prefixes": crowd.rng.choice(exits, 3).tolist()}
            crowd.people[place] = person._replace(links=links)
    people, profiles = world(crowd)
    is_theirs = those_with(profiles, names)
    pool = Pool(is_theirs.astype(np.float64))
    for _ in range(4):
        grow(people, pool)
    assert pool.share[is_theirs].mean() > 0.9
    assert (pool.share[~is_theirs] > 0.5).sum() <= 5


def test_how_many_lack_a_link_is_learned_from_those_whom_something_else_holds() -> None:
    card = next(kind for kind in KINDS if kind.name == "payment")
    values = np.array([7] * 30 + list(range(100, 170)), np.int64)  # 30 with the pool's card, ten of whom are held by it
    links = incidence(values.reshape(-1, 1))
    share = (np.arange(100) < 50).astype(np.float64)
    held = np.where(np.arange(100) < 20, 1.0, np.where(np.arange(100) < 30, 0.05, share))
    plain = trusted = Weights()
    for _ in range(20):
        plain = fit(links, card, share, plain).weights
        trusted = fit(links, card, share, trusted, trusted=held).weights
    lacking = [fit(links, card, share, weights).nats[-1] for weights in (plain, trusted)]
    assert np.allclose(np.exp(lacking), [20 / 50, 20 / 40], atol=0.05)


def test_who_has_a_prompt_of_the_campaigns_own_is_not_kept_out_for_all_else_that_he_asks() -> None:
    content = next(kind for kind in KINDS if kind.has_many)
    table = np.arange(1, 200 * 60 + 1, dtype=np.int64).reshape(200, 60)
    table[:40, 30:] = 0
    table[:41, 0] = 9  # forty members and one more carry the wrapper; that one asks twice as much
    table[41:100, 1] = table[:20, 1] = 8  # a popular prompt, a little more so among members
    links = incidence(table)
    share = (np.arange(200) < 40).astype(np.float64)
    weights = Weights(outside=0.9, without=0.02)
    apart = fit(links, content, share, weights).nats
    held = fit(links, content, share, weights, is_held=True).nats
    assert apart[40] < 0.0
    assert 2.0 < held[40] < held[0]
    assert np.allclose(held[41:], apart[41:])


def test_a_card_of_many_in_a_pool_counts_for_more_than_that_of_a_pair() -> None:
    crowd = Crowd(23)
    crowd.ordinary(400)
    names: set[str] = set()
    for number in range(10):
        names |= added(crowd, 4, payment_fp=f"pooled-{number}")
    pairs: set[str] = set()
    for number in range(10):
        pairs |= added(crowd, 2, payment_fp=f"pair-{number}")
    people, profiles = world(crowd)
    pool = Pool(those_with(profiles, names | pairs).astype(np.float64))
    grow(people, pool, rounds=1)
    nats = pool.nats["payment"]
    assert nats[those_with(profiles, names)].min() > nats[those_with(profiles, pairs)].max() + 2.0
    assert nats[~those_with(profiles, names | pairs)].max() <= 0.0


def test_who_lacks_a_client_lacks_it_once_in_whatever_kinds_it_shows() -> None:
    nats = {"ja4": np.array([-1.0, 6.0]), "http": np.array([-0.8, 4.0]), "program": np.array([-0.5, -0.5])}
    assert by_group(nats)["client"].tolist() == [-1.0, 9.0]
