"""Cliques: members of a pool whom only their own common values hold in it.

Leaving out one member at a time does not show them: sixty customers of a reseller vouch for each other. So the carriers
of a value are left out together. Those of a campaign's card still fit by their other links; a reseller's do not.
Honest groups that use one client, or signed up in the same hours, look like one operation with a pool of cards: there
everybody is left out whom hard links tie to the carriers of a value.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from stream_app.detection.campaigns.growth import MIN_POOL, NEVER, Pool, grow, is_hard, refit
from stream_app.detection.campaigns.likelihoods import by_group
from stream_app.detection.campaigns.links import KINDS, SOFT_GROUPS, Kind, Population
from stream_app.detection.campaigns.profiles import Flags

#: Carriers of a value that are worth the look, and the share of the pool beyond which they are the pool.
MIN_CARRIERS, MAX_PART = 8, 0.5
#: A team is as small as this. There are many values so rare, and so only those are looked at of whose carriers most
#: share nothing hard with anybody else in the pool.
_LEAST_CARRIERS, _MAX_TIED = 3, 0.5
#: Cliques left out per pool and tick, those of most carriers first, and the least tied ones as many again.
MAX_TRIED = 8
#: An honest group is a notable part of a pool, and each of its few cards and offices has a part of this.
_LEAST_PART = 0.05
_HARD_KINDS = tuple(kind for kind in KINDS if kind.is_hard)
_LARGE_KINDS = tuple(kind for kind in KINDS if kind.is_hard or kind.name == "ja4")
#: Cards tie to devices, devices to networks, and these to the other cards.
_TIED_ROUNDS = 3
#: And all that these have in common to others of their kind: a school's other campus would speak for this one.
_ALIKE_ROUNDS = 5
#: Nats a member that the others of one operation have in common with a part of it, beside client and hour.
_OF_ONE_HAND = 1.0


def expel_cliques(population: Population, pool: Pool) -> list[Flags]:
    """Take out of a pool, in place, all cliques that do not fit it without themselves; they are returned.

    Who fits it all the same once they are out comes back, but for groups that are strangers to the others.
    """
    strangers = _expel_strangers(population, pool)
    expelled = list(strangers)
    for candidates in (_large(population, pool, _LARGE_KINDS, MIN_CARRIERS), _untied(population, pool)):
        tried = 0
        for clique in candidates:
            if tried == MAX_TRIED:
                break
            if not (pool.share[clique] > 0.5).any():
                continue
            rest = _without(pool, clique)
            if rest.size < MIN_POOL:
                continue
            tried += 1
            refit(population, rest)
            if np.median(rest.odds[clique & (pool.share > 0.5)]) <= 0:
                expelled.append(clique & (pool.share > 0.5))
                pool.share = rest.share
                grow(population, pool, rounds=2)
    for group in strangers:
        pool.share = np.where(group, 0.0, pool.share)
        pool.odds = np.where(group, NEVER, pool.odds)
    return expelled


def _expel_strangers(population: Population, pool: Pool) -> list[Flags]:
    """Take out whole groups whom nothing but a client or an hour of sign-ups ties to another such group."""
    expelled: list[Flags] = []
    seen, tried = np.zeros(len(population), np.bool_), 0
    least = max(MIN_CARRIERS, _LEAST_PART * np.count_nonzero(pool.share > 0.5))
    for carriers in _large(population, pool, _HARD_KINDS, least):
        likely = pool.share > 0.5
        start = carriers & likely & ~seen
        if not start.any() or 2 * np.count_nonzero(start) < np.count_nonzero(carriers & likely):
            continue
        if tried == MAX_TRIED:
            break
        tried += 1
        tied = _grown_from(population, start, _TIED_ROUNDS, _HARD_KINDS) | start
        part = (_grown_from(population, tied, _ALIKE_ROUNDS, KINDS) & likely) | start
        seen |= part
        rest = _without(pool, part)
        if np.count_nonzero(part) > MAX_PART * np.count_nonzero(likely) or rest.size < MIN_POOL:
            continue
        refit(population, rest)
        if is_hard(population, rest, rest.share) and _firm(rest, part) < _OF_ONE_HAND:
            expelled.append(part)
            pool.share = rest.share
            grow(population, pool, rounds=2)
    return expelled


def _without(pool: Pool, part: Flags) -> Pool:
    return Pool(np.where(part, 0.0, pool.share), pool.has_links, dict(pool.weights), dict(pool.nats))


def _grown_from(population: Population, start: Flags, rounds: int, kinds: Sequence[Kind]) -> Flags:
    """Who fits these by links of some kinds, or others who do."""
    pool = Pool(start.astype(np.float64))
    grow(population, pool, rounds, kinds)
    grown: Flags = pool.share > 0.5
    return grown


def _firm(rest: Pool, part: Flags) -> float:
    """Nats that a part has in common with the rest on average, beside what strangers share by the thousand."""
    means = [float(nats[part].mean()) for group, nats in by_group(rest.nats).items() if group not in SOFT_GROUPS]
    return sum(max(mean, 0.0) for mean in means)


def _large(population: Population, pool: Pool, kinds: Sequence[Kind], least: float) -> Iterator[Flags]:
    """Carriers of values that at least so many members have, those of most first."""
    likely = pool.share > 0.5
    most = MAX_PART * np.count_nonzero(likely)
    found: list[tuple[float, str, int]] = []
    for kind in kinds:
        links = population.links[kind.name]
        inside = np.bincount(links.cols, weights=likely[links.rows], minlength=len(links.degree))
        chosen = np.flatnonzero((inside >= least) & (inside <= most))
        found += [(-float(inside[col]), kind.name, int(col)) for col in chosen]
    for _, name, col in sorted(found):
        yield _carriers(population, name, col)


def _untied(population: Population, pool: Pool) -> Iterator[Flags]:
    """Carriers of hard values most of whom carry none that anybody else in the pool has, the least tied first."""
    likely = pool.share > 0.5
    hard = [kind.name for kind in KINDS if kind.is_hard]
    members = sparse.hstack([population.links[name].matrix[likely] for name in hard]).tocsr()  # type: ignore[no-untyped-call]
    names = np.repeat(np.arange(len(hard)), [len(population.links[name].degree) for name in hard])
    places = np.concatenate([np.arange(len(population.links[name].degree)) for name in hard])
    inside = np.asarray(members.sum(axis=0)).ravel()
    shared = np.flatnonzero(inside >= 2)
    members, inside = members[:, shared], inside[shared]
    common = (members.T @ members).tocoo()
    beyond = common.data < inside[common.col]  # a value that others than the carriers of this one have, too
    where = (common.col[beyond], common.row[beyond])
    ties = sparse.csr_matrix((np.ones(len(where[0])), where), shape=common.shape)  # type: ignore[no-untyped-call]
    tied = np.asarray(((members @ ties > 0).multiply(members)).sum(axis=0)).ravel() / inside
    most = MAX_PART * np.count_nonzero(likely)
    chosen = np.flatnonzero((inside >= _LEAST_CARRIERS) & (inside <= most) & (tied <= _MAX_TIED))
    for place in chosen[np.lexsort((shared[chosen], -inside[chosen], tied[chosen]))]:
        yield _carriers(population, hard[names[shared[place]]], int(places[shared[place]]))


def _carriers(population: Population, name: str, col: int) -> Flags:
    carriers = np.zeros(len(population), np.bool_)
    carriers[population.links[name].holders(col)] = True
    return carriers
