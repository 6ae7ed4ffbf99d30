"""Honest teams whose own cards and offices could look like a campaign's pool."""

import numpy as np

from stream_app.detection.campaigns.cliques import expel_cliques
from stream_app.detection.campaigns.growth import Pool, grow
from stream_app.detection.campaigns.links import population
from stream_app.detection.campaigns.profiles import Profiles
from stream_app.detection.signals import Profile, Signal
from tests.unit.campaign_worlds import BEGIN_MS, Crowd

TEAMS, EACH = 5, 7


def test_small_teams_that_use_one_program_are_no_pool() -> None:
    """Each team has one card and one office, and all have a program in common, which alone would not join them."""
    profiles = Profiles()
    for number in range(800):
        profile = Profile(payment_fp=f"card-{number}", ip_prefixes=[f"home-{number // 2}"], systems=[f"own-{number}"])
        if number < TEAMS * EACH:
            team = number // EACH
            profile = Profile(payment_fp=f"team-{team}", ip_prefixes=[f"office-{team}"], systems=["studio"])
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 1, profile))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    pool = Pool(np.where(np.arange(800) < TEAMS * EACH, 1.0, 0.0))
    grow(people, pool)
    assert np.count_nonzero(pool.share > 0.5) == TEAMS * EACH
    expelled = expel_cliques(people, pool)
    assert [int(team.sum()) for team in expelled] == [EACH] * (TEAMS - 1)
    assert np.count_nonzero(pool.share > 0.5) == EACH


def test_a_school_of_two_campuses_goes_as_one_from_a_resellers_customers() -> None:
    """One campus at a time, the other would speak for it."""
    crowd = Crowd(28)
    crowd.ordinary(700)
    first = len(crowd.people)
    for number in range(80):
        links = {"ip_prefixes": [f"campus-{number % 2}"]}
        crowd._person(crowd._burst_ms(), ["assignment"], 0.5, links, is_repeating=True)
    for _ in range(100):
        resold = {"payment_fp": "reseller", "ip_prefixes": [f"rack-{crowd.rng.integers(6)}"]}
        crowd._person(crowd._burst_ms(), [], 0.0, resold)
    profiles = Profiles()
    for signal in crowd.signals(3.0):
        profiles.add(signal)
    people = population(profiles, np.ones(len(profiles), np.bool_))
    places = [profiles.tenant_ids.index(person.tenant_id) for person in crowd.people[first:]]
    share = np.zeros(len(people))
    share[places] = 1.0
    pool = Pool(share)
    grow(people, pool)
    assert pool.share[places].min() > 0.5
    expelled = expel_cliques(people, pool)
    assert np.flatnonzero(expelled[0]).tolist() == sorted(places[:80])
    assert pool.share[places[80:]].min() > 0.5
