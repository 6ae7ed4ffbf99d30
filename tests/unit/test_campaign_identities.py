"""An id and its proofs stay with the members, whatever a look makes of the pools."""

import numpy as np

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.identities import follow_members
from stream_app.detection.campaigns.links import Population, population
from stream_app.detection.campaigns.profiles import Floats, Profiles
from stream_app.detection.campaigns.records import Campaign, Status
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
