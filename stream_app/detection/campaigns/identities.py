"""A campaign stays with its members: proofs are theirs, and so is the id, whatever a look does to its pool.

A fresh pool may join a campaign and a crowd that has something in common with both; what is then expelled from
the union again may be the campaign itself. And what is left of a crowd without its clique may move on to a campaign.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from stream_app.detection.campaigns.cliques import expel_cliques
from stream_app.detection.campaigns.growth import MIN_POOL, Pool, copied, grow
from stream_app.detection.campaigns.links import Population
from stream_app.detection.campaigns.pools import SAME, is_pool, new_id, same_as
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.records import Campaign, Status

#: A pool is searched for cliques anew when its size has changed by such a share and by so many members: that costs as
#: much as growing it. And every hour, since a team is a small part of a large pool; at the next look, who has left may
#: be back.
_CHECKED_CHANGE, _CHECKED_LEAST, _CHECKED_MS = 0.02, 2.0, 3_600_000


def expel(population: Population, campaigns: list[Campaign], now_ms: int) -> None:
    """Take the cliques out of each campaign's pool, and follow them as pools of their own.

    A pool that without them would be that of another campaign, a confirmed one, keeps them until the next look.
    """
    for campaign in list(campaigns):
        change = abs(campaign.pool.size - campaign.checked_size)
        is_same = change <= max(_CHECKED_CHANGE * campaign.checked_size, _CHECKED_LEAST)
        if is_same and now_ms - campaign.checked_ms < _CHECKED_MS:
            continue
        before = copied(campaign.pool)
        expelled = expel_cliques(population, campaign.pool)
        if expelled and same_as((known for known in campaigns if known.status is Status.CONFIRMED), campaign.pool):
            campaign.pool, campaign.checked_ms = before, 0
            continue
        campaign.checked_size, campaign.checked_ms = campaign.pool.size, 0 if expelled else now_ms
        for clique in expelled:
            pool = Pool(clique.astype(np.float64))
            grow(population, pool)  # which may swallow what it was taken from: then it is no pool of its own
            if is_pool(pool) and not same_as(campaigns, pool):
                origin = f"{campaign.campaign_id}:{np.flatnonzero(clique)[0]}"
                campaigns.append(Campaign(new_id(origin, now_ms), now_ms, pool))


def follow_members(population: Population, campaigns: list[Campaign], held: Mapping[str, Floats], now_ms: int) -> None:
    """Give every campaign the pool that holds most of those it ``held`` before the look, by id; others begin anew.

    A pool of strangers that no campaign of before can claim is a campaign of its own, without any proof.
    """
    fresh = [campaign for campaign in campaigns if campaign.campaign_id not in held]
    for campaign in list(campaigns):
        before = held.get(campaign.campaign_id)
        if before is None or not _is_lost(before, campaign.pool.share):
            continue
        heir = max(fresh, key=lambda other: _common(before, other.pool.share), default=None)
        if heir is not None and not _is_lost(before, heir.pool.share):
            campaign.pool, heir.pool = heir.pool, campaign.pool
        elif is_pool(campaign.pool) and _is_lost(campaign.pool.share, before):
            campaigns.append(Campaign(new_id(f"{campaign.campaign_id}:left", now_ms), now_ms, campaign.pool))
            campaign.pool = Pool(np.zeros(len(population)))
            grow(population, campaign.pool)


def bring_back(
    campaigns: list[Campaign], gone: Sequence[tuple[Campaign, Campaign]], held: Mapping[str, Floats]
) -> None:
    """Undo what went into another campaign in this look, where a fresh pool has parted its members from that again."""
    for campaign, into in gone:
        before = held[campaign.campaign_id]
        fresh = [place for place, other in enumerate(campaigns) if other.campaign_id not in held]
        heir = max(fresh, key=lambda place: _common(before, campaigns[place].pool.share), default=None)
        if heir is None or not _is_lost(before, into.pool.share) or _is_lost(before, campaigns[heir].pool.share):
            continue
        own = {campaign.campaign_id, *campaign.aliases}
        into.aliases = [alias for alias in into.aliases if alias not in own]
        campaign.pool = campaigns[heir].pool
        campaigns[heir] = campaign
        campaigns.sort(key=lambda one: one.begun_ms)


def _is_lost(one: Floats, other: Floats) -> bool:
    """Whether the other holds less than the half of one."""
    size = float(one.sum())
    return size >= MIN_POOL and _common(one, other) < SAME * size


def _common(one: Floats, other: Floats) -> float:
    return float(np.minimum(one, other).sum())
