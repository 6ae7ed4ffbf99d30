"""Pools of a tick: grown from fresh seeds, and put together when they turn out to be the same."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field

from stream_app.detection.campaigns.growth import Pool, grow, refit
from stream_app.detection.campaigns.likelihoods import SETTLING_ROUNDS, by_group
from stream_app.detection.campaigns.links import CONTENT_KINDS, Population
from stream_app.detection.campaigns.records import Campaign, Status
from stream_app.detection.campaigns.seeds import SHARED_PAYMENT, carriers_of, seeds

#: Fresh seeds grown in one tick, the strongest; the others have their turn when these have vanished or are pools.
MAX_FRESH = 12
_SEEDS_PER_KIND = 40
#: A seed that vanished is tried again when it has so much more in common than then.
_GROWN = 1.3
#: Members more likely in than out, below which there is no pool.
MIN_LIKELY = 5
#: Nats that members have in common on average, below which a pool is a popular habit.
MIN_MEAN_NATS = 4.0
#: Of which so many must be of something else than a client: its users are everybody's customers. A pool of them would
#: take a campaign's members from it, as if who uses a popular client could not also share a campaign's card.
MIN_BESIDE_CLIENT = 1.0
#: Pools whose members are the same by more than this, of the smaller one, are one pool.
SAME = 0.5
#: Pools followed at a time, the strongest; each costs some hundredths of a second a tick per 10,000 tenants.
MAX_CAMPAIGNS = 60
#: Probability given to tenants that only a card joins: rather in than out, and enough for a person to be told.
_SIMPLEST = 0.6


class Tried(Struct):
    """Seeds grown before, and the nats they had then; bounded by the values of eight days at one growth a tick."""

    nats: dict[tuple[str, int], float] = field(default_factory=dict)


def is_pool(pool: Pool) -> bool:
    """Whether anybody rather belongs to it than not."""
    return bool(np.count_nonzero(pool.share > 0.5) >= MIN_LIKELY)


def is_habit(pool: Pool) -> bool:
    """Whether those who belong to it have little in common but a popular client or another popular habit."""
    grouped = by_group(pool.nats)
    likely = pool.share > 0.5
    means = {group: float(nats[likely].mean()) for group, nats in grouped.items()}
    whole = sum(means.values())
    return whole < MIN_MEAN_NATS or whole - means["client"] < MIN_BESIDE_CLIENT


def fresh_pools(population: Population, known: list[Pool], tried: Tried) -> list[tuple[Pool, str]]:
    """Pools grown from seeds that no known pool covers, each with the seed's name."""
    covered = np.zeros(len(population), np.bool_)
    for pool in known:
        covered |= pool.share > 0.5
    found: list[tuple[Pool, str]] = []
    grown = 0
    for seed in seeds(population, _SEEDS_PER_KIND):
        value = int(population.links[seed.kind].values[seed.col])
        carriers = carriers_of(population, seed)
        if seed.nats < _GROWN * tried.nats.get((seed.kind, value), 0.0) or covered[carriers].mean() > SAME:
            continue
        if grown == MAX_FRESH:
            break
        grown += 1
        tried.nats[seed.kind, value] = seed.nats
        pool = Pool(carriers.astype(np.float64), has_links=seed.kind not in CONTENT_KINDS)
        grow(population, pool)
        if seed.kind == "payment" and not is_pool(pool) and np.count_nonzero(carriers) >= SHARED_PAYMENT:
            pool.share = np.where(carriers, _SIMPLEST, 0.0)  # nothing else in common: the simplest rule's alarm
            refit(population, pool)
            found.append((pool, f"{seed.kind}:{value}"))
            continue
        likely = pool.share > 0.5
        if is_pool(pool) and not is_habit(pool):
            covered |= likely
            found.append((pool, f"{seed.kind}:{value}"))
    return found


def leave_strangers(population: Population, campaigns: Iterable[Campaign], pool: Pool) -> None:
    """Part a pool from the confirmed campaigns that are its smaller part and do not fit its others.

    A campaign was grown from its own members just before. Two crowds with clients and prompts of their own may be one
    pool, in which each value is that of some; a campaign would take the customers of a product with it.
    """
    for campaign in campaigns:
        if campaign.status is Status.CONFIRMED and _is_same(campaign.pool, pool) and 2 * campaign.pool.size < pool.size:
            theirs = campaign.pool.share > 0.5
            others = Pool(np.where(theirs, 0.0, pool.share), has_links=pool.has_links)
            for _ in range(SETTLING_ROUNDS):
                refit(population, others)
            if 2 * np.count_nonzero(others.odds[theirs] > 0) < np.count_nonzero(theirs):
                grow(population, others, rounds=2)
                pool.share, pool.weights, pool.nats, pool.odds = others.share, others.weights, others.nats, others.odds


def absorb(population: Population, campaigns: Iterable[Campaign], pool: Pool) -> Campaign | None:
    """Put a pool into the campaign it is the same as, if any; then that one is grown again from both."""
    campaign = same_as(campaigns, pool)
    if campaign and pool.size > campaign.pool.size:
        campaign.pool.share = np.maximum(pool.share, campaign.pool.share)
        grow(population, campaign.pool, rounds=2)
    return campaign


def same_as(campaigns: Iterable[Campaign], pool: Pool) -> Campaign | None:
    """The campaign that has most members of the smaller of both pools, if any."""
    return next((campaign for campaign in campaigns if _is_same(campaign.pool, pool)), None)


def joins_strangers(campaigns: Iterable[Campaign], pool: Pool) -> bool:
    """Whether a pool would join a confirmed campaign and others whom people were told of apart from it.

    Each was grown from its own members just before, and does not fit the other: what both fit is a popular client.
    """
    told = [campaign for campaign in campaigns if campaign.is_listed and _is_same(campaign.pool, pool)]
    return len(told) > 1 and any(campaign.status is Status.CONFIRMED for campaign in told)


def _is_same(one: Pool, other: Pool) -> bool:
    if one is other or not one.size:
        return False
    return float(np.minimum(one.share, other.share).sum()) > SAME * min(one.size, other.size)


class Merged(NamedTuple):
    """Campaigns that are left, and those told of that went into another, with that one."""

    kept: list[Campaign]
    gone: list[tuple[Campaign, Campaign]]


def merged(people: Population, campaigns: Sequence[Campaign]) -> Merged:
    """Pools that have become the same are one, under the oldest id; others vanish, as habits do, unless told.

    A mere candidate's id gives way to any other: what was confirmed or dismissed is what people know.
    """
    kept: dict[str, Campaign] = {}
    gone: list[tuple[Campaign, Campaign]] = []
    for campaign in sorted(campaigns, key=lambda one: one.status is Status.CANDIDATE):
        if is_pool(campaign.pool) and (campaign.is_listed or not is_habit(campaign.pool)):
            leave_strangers(people, kept.values(), campaign.pool)
            into = absorb(people, kept.values(), campaign.pool)
            if into is None:
                kept[campaign.campaign_id] = campaign
            elif campaign.is_listed:
                into.aliases += [campaign.campaign_id, *campaign.aliases]
                gone.append((campaign, into))
        elif campaign.is_listed:
            kept[campaign.campaign_id] = campaign
    return Merged([campaign for campaign in campaigns if campaign.campaign_id in kept], gone)


def strongest(campaigns: list[Campaign]) -> list[Campaign]:
    """At most ``MAX_CAMPAIGNS`` of them: those that people were told of, then those with most in common."""
    ranked = sorted(campaigns, key=lambda c: (not c.is_listed, c.status is Status.CANDIDATE, -c.nats, c.campaign_id))
    chosen = {campaign.campaign_id for campaign in ranked[:MAX_CAMPAIGNS]}
    return [campaign for campaign in campaigns if campaign.campaign_id in chosen]


def new_id(origin: str, now_ms: int) -> str:
    """A campaign's id, the same in every run over the same signals."""
    return "c-" + blake2b(f"{origin}@{now_ms}".encode(), digest_size=6).hexdigest()
