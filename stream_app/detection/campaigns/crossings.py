"""Whether what a pool's members ask has anything to do with which card, device or network each has.

In one operation any account is dealt any work, however it came to be and wherever it comes from. Where several
customers have become one pool, by the addresses of a hosting provider and a popular client, the people of one have its
card and ask what they ask, and those of another have neither. Of pairs of members with a card in common, as many have
content in common as of any others: in campaigns of made-up worlds .6 to 1.5 times as many, mostly .9 to 1.1, and in
pools of several customers either none or 1.7 to 20 times as many.
"""

import math
from collections.abc import Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.likelihoods import OWN_EXCESS, Weights, by_group
from stream_app.detection.campaigns.links import FLOOR, KINDS, Incidence, Kind, Population
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.proofs import MIN_PROVERS, ORIGINS, PROOF
from stream_app.detection.campaigns.ratios import dot, excess_of

#: Those whom a link brought do the pool's work if they have so large a part of a member's nats of content: in a
#: campaign with half of the links they had .8 and more, in pools of several customers mostly less than nothing.
_PART = 0.5
#: Times chance that members with a value in common have content in common, and standard deviations of chance beyond it.
_MOST_ALIKE, _CLEARLY = 1.5, 3.0
_CONTENT = next(kind for kind in KINDS if kind.group == "content")
_SHARED_BY_CUSTOMERS = tuple(kind for kind in KINDS if kind.is_origin)


class Work(NamedTuple):
    """Content that members share, by entry: whose it is (``rows``) and how far he belongs (``own``).

    ``inside`` members carry it, ``beyond`` times chance and its spread; ``apart`` without those who have the same card
    or device as he.
    """

    members: NDArray[np.intp]
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    own: Floats
    inside: Floats
    beyond: Floats
    apart: Floats


class Crossing(NamedTuple):
    """Pairs of members with a value of one link in common who ask alike, and how many would by chance."""

    alike: float
    chance: float

    @property
    def is_of_several(self) -> bool:
        """Whether those with a value in common clearly ask what others do not: they are one of several customers."""
        return self.alike > _MOST_ALIKE * self.chance + self._spread

    @property
    def is_of_one(self) -> bool:
        """Whether they are shown to ask what everybody asks, and not only not to differ."""
        return self.alike + self._spread <= _MOST_ALIKE * self.chance

    @property
    def _spread(self) -> float:
        return _CLEARLY * math.sqrt(max(self.chance, 1.0))


def work_of(population: Population, pool: Pool) -> Work:
    """What members ask: with everybody's vote but one's own, and without that of one's own customer."""
    links, share = population.links[_CONTENT.name], np.where(pool.share > 0.5, pool.share, 0.0)
    members = np.flatnonzero(share)
    entries = links.entries_of_tenants(members)
    rows, cols = links.rows[entries], links.cols[entries]
    own = share[rows]
    inside: Floats = np.bincount(cols, weights=own, minlength=len(links.degree)).astype(np.float64)[cols]
    near: Floats = np.zeros(len(entries))
    for kind in _SHARED_BY_CUSTOMERS:
        near = np.maximum(near, _near(population.links[kind.name], rows, cols, own))
    within, part, degree = dot(share[members], links.carried[members]), own * links.carried[rows], links.degree[cols]
    beyond = excess_of(links, within, degree, inside, own, part)
    apart = excess_of(links, within, degree, np.maximum(inside - near, own), own, part)
    return Work(members, rows, cols, own, inside, beyond, apart)


def idle_of(population: Population, pool: Pool, work: Work, groups: Set[str]) -> list[str]:
    """Those of these groups that say how accounts came to be, but not of accounts that do what the pool does."""
    grouped = by_group({kind.name: pool.nats[kind.name] for kind in KINDS if _is_told(kind)})
    nats = _nats_apart(population, pool, work)
    idle = []
    for group in sorted(ORIGINS & groups):
        brought = nats[grouped[group][work.members] >= PROOF]
        if len(brought) >= MIN_PROVERS and brought.mean() <= max(_PART * nats.mean(), 0.0):
            idle.append(group)
    return idle


def crossings_of(population: Population, work: Work) -> dict[str, Crossing]:
    """By hard link: whether members who have a value of it in common ask alike more often than others."""
    owned = work.beyond >= OWN_EXCESS
    rows, cols, own = work.rows[owned], work.cols[owned], work.own[owned]
    found: dict[str, Crossing] = {}
    for kind in KINDS:
        if kind.is_hard:
            links = population.links[kind.name]
            shared = links.matrix[work.members]
            others = np.asarray(shared @ shared.sum(axis=0).T - shared.sum(axis=1)).ravel()
            having = others[np.searchsorted(work.members, rows)]
            alike = float(_near(links, rows, cols, own).sum())
            chance = float((having * (work.inside[owned] - own)).sum()) / max(len(work.members) - 1, 1)
            found[kind.name] = Crossing(alike, chance)
    return found


def _is_told(kind: Kind) -> bool:
    """Whether a kind says of accounts how they came to be: a card programme is a region's."""
    return kind.is_origin or kind.group == "genesis"


def _nats_apart(population: Population, pool: Pool, work: Work) -> Floats:
    """Nats of content of every member, as far as others share it than those of his customer."""
    links, (outside, without) = population.links[_CONTENT.name], pool.weights.get(_CONTENT.name, Weights())
    whose = np.searchsorted(work.members, work.rows)
    logs = np.bincount(whose, weights=np.log(outside + work.apart), minlength=len(work.members)).astype(np.float64)
    logs += (links.carried[work.members] - links.shared[work.members]) * np.log(outside)
    nats = np.log(without + (1.0 - without) * np.exp(logs.clip(-30.0, 30.0)))
    found: Floats = np.where(links.has[work.members], nats, 0.0).clip(FLOOR, _CONTENT.cap)
    return found


def _near(links: Incidence, rows: NDArray[np.int32], cols: NDArray[np.int32], own: Floats) -> Floats:
    """For each entry of content, how far others belong who carry it and have a value in common with its tenant."""
    values = links.matrix[rows]
    entry = np.arange(len(rows)).repeat(np.diff(values.indptr))
    pairs = values.indices.astype(np.int64) * (int(cols.max(initial=0)) + 1) + cols[entry]
    _, which = np.unique(pairs, return_inverse=True)
    summed = np.bincount(which, weights=own[entry])[which] - own[entry]
    near: Floats = np.bincount(entry, weights=summed, minlength=len(rows)).astype(np.float64)
    return near
