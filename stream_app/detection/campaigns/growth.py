"""Growing a pool from a seed: who fits it decides what it shares, and what it shares who fits it (EM)."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from stream_app.detection.campaigns.likelihoods import Weights, by_group, fit, total
from stream_app.detection.campaigns.links import CONTENT_KINDS, KINDS, NAMES, SOFT_GROUPS, Kind, Population
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.ratios import UNSEEN, dot

#: A seed settles within a few rounds; one that has not by then is not held together by much.
ROUNDS = 10
_SETTLED = 0.005
#: Below this share a tenant says nothing about what a pool has in common.
COUNTS_FROM = 0.3
#: In a pool that has nothing but content, who is rather in than out counts as in. In part an outsider, each would make
#: the wrappers look common that nobody else uses: at best such a pool stays as large as it is, and members who ask more
#: than others, as all members do, let it melt away.
_WHOLE_FROM = 0.5
#: A pool of fewer expected members is no pool.
MIN_POOL = 4.0
#: Who is most of the tenants is the public, not a pool.
LARGEST_SHARE = 0.4
#: Nats of hard links a member, on average, from which a pool's client and hours of creation may bring members by
#: themselves. Below it they would take in whoever uses a popular client: few of its users are left outside then.
_HELD = 1.0
#: Members who carry a skeleton by chance, at least, in a pool that has nothing else. With half a member, as where links
#: say more, a wrapper of forty accounts and of nobody else hardly outweighs the odds against them: whoever is in doubt
#: counts as an outsider in part, so that its wrappers look common, and the pool melts away.
_LEAST_CHANCE = 0.25
#: Part of his chance to belong to a pool that is left without his networks, from which he tells what networks it has.
#: Who has nothing else in common keeps that of any tenant, less what he lacks; set on neighbours of a campaign's exits.
_OTHERWISE = 0.05
#: Log odds of who cannot belong to a pool, as nobody can when it has vanished: beyond this nothing changes any more.
NEVER = -30.0


class Pool(Struct):
    """Tenants that may be one operation; ``share`` is the probability that each belongs to it, by tenant.

    ``nats`` holds the evidence by kind, ``odds`` the log odds of membership without competition. A pool that
    ``has_links`` learns its content only from members whom links hold: fed by itself, content runs away to whoever
    uses a popular prompt. ``prior`` are nats in advance by tenant, if there are any.
    """

    share: Floats
    has_links: bool = True
    weights: dict[str, Weights] = field(default_factory=dict)
    nats: dict[str, Floats] = field(default_factory=dict)
    odds: Floats = field(default_factory=lambda: np.zeros(0))
    prior: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def size(self) -> float:
        """Expected number of members."""
        return float(self.share.sum())


def grow(population: Population, pool: Pool, rounds: int = ROUNDS, kinds: Sequence[Kind] = KINDS) -> None:
    """Refine a pool in place until it settles or vanishes, by links of these ``kinds``."""
    for _ in range(rounds):
        before = pool.size
        if not MIN_POOL <= before <= LARGEST_SHARE * len(population):
            pool.share = np.zeros(len(population))
            if not pool.nats:
                pool.nats = {kind.name: np.zeros(len(population)) for kind in KINDS}
                pool.odds = np.full(len(population), NEVER)
            return
        if not pool.nats:  # what the seed shares is fitted before anybody is judged by it
            refit(population, pool, kinds)
        refit(population, pool, kinds)
        pool.share = 1.0 / (1.0 + np.exp(-np.clip(pool.odds, -30, 30)))
        if abs(pool.size - before) < _SETTLED * before:
            return


def refit(population: Population, pool: Pool, kinds: Sequence[Kind] = KINDS) -> None:
    """Nats and odds of every tenant from the pool's present shares.

    What strangers share by the thousand, a client or an hour, is learned in a pool without hard links only from those
    whom something else holds: whoever uses a popular client would vouch for all others who do.
    """
    counted = np.where(pool.share >= COUNTS_FROM, pool.share, 0.0)
    if not pool.has_links:
        counted = (pool.share > _WHOLE_FROM).astype(np.float64)
    base = prior(population, float(counted.sum()))
    is_soft = bool(pool.nats) and not is_hard(population, pool, counted)
    trusted = _trusted(pool, counted, base)
    for kind in kinds:
        others: set[str] = set()
        if kind.group == "content" and pool.has_links:
            others = set(NAMES) - CONTENT_KINDS
        elif is_soft and kind.group in SOFT_GROUPS:
            others = {other.name for other in KINDS if other.group != kind.group}
        teaching = counted
        if others:
            held = base + total(population, {k: v for k, v in pool.nats.items() if k in others}) > 0
            teaching = np.where(held, counted, 0.0)
        elif kind.group == "network" and pool.has_links and trusted:
            teaching = _teachers_of_networks(counted, trusted[kind.group])
        weights = pool.weights.get(kind.name, Weights())
        least = UNSEEN if pool.has_links else _LEAST_CHANCE
        fitted = fit(
            population.links[kind.name], kind, teaching, weights, least, trusted.get(kind.group), is_held=pool.has_links
        )
        pool.nats[kind.name], pool.weights[kind.name] = fitted
    pool.odds = base + total(population, pool.nats)
    if len(pool.prior):
        pool.odds += pool.prior


def _trusted(pool: Pool, counted: Floats, base: float) -> dict[str, Floats]:
    """By group, how far each member is one without that group's evidence; nothing before there is any.

    Whom a link brought in carries it. How many do not is learned from those whom something else holds: otherwise it
    would seem that nearly all do, and who lacks it would be kept out for that.
    """
    members = (counted != 0).nonzero()[0]
    grouped = by_group({kind: nats[members] for kind, nats in pool.nats.items()})
    whole = base + sum(grouped.values(), np.zeros(len(members)))
    trusted = {group: np.zeros(len(counted)) for group in grouped}
    for group, nats in grouped.items():
        trusted[group][members] = counted[members] / (1.0 + np.exp(np.clip(nats - whole, -30, 30)))
    return trusted


def _teachers_of_networks(counted: Floats, trusted: Floats) -> Floats:
    """Members whom not only their networks bring in, unless they are the smaller part.

    People have several networks, and in each neighbours who have others: a pool would grow along them as long as it
    likes, and lose members who lack what its new ones have.
    """
    teachers = np.where(trusted >= _OTHERWISE * counted, counted, 0.0)
    return teachers if 2.0 * teachers.sum() >= counted.sum() else counted


def is_hard(population: Population, pool: Pool, counted: Floats) -> bool:
    """Whether members have something in common that strangers do not share."""
    hard = total(population, {kind.name: pool.nats[kind.name] for kind in KINDS if kind.is_hard})
    return dot(counted, np.maximum(hard, 0.0)) >= _HELD * float(counted.sum())


def prior(population: Population, size: float) -> float:
    """Log odds that any tenant belongs to a pool of this size."""
    return float(np.log(max(size, 1.0) / max(len(population) - size, 1.0)))


def copied(pool: Pool) -> Pool:
    """The pool as it is now, to go back to; arrays are shared, since none is ever changed in place."""
    return replace(pool, weights=dict(pool.weights), nats=dict(pool.nats))


def compete(pools: list[Pool]) -> None:
    """Divide every tenant among the pools and nobody: without competition a campaign swallows a reseller."""
    if len(pools) < 2:
        return
    odds = np.stack([np.clip(pool.odds, -30, 30) for pool in pools])
    highest = np.maximum(odds.max(axis=0), 0.0)
    weights = np.exp(odds - highest)
    whole = weights.sum(axis=0) + np.exp(-highest)
    for pool, weight in zip(pools, weights, strict=True):
        pool.share = weight / whole
