"""Cliques: members of a pool whom only their own common value holds in it.

Leaving out one member at a time does not show them: sixty customers of a reseller vouch for each other. So the carriers
of a value are left out together. Those of a campaign's card still fit by their other links; a reseller's do not.
"""

import numpy as np

from stream_app.detection.campaigns.growth import MIN_POOL, Pool, grow, refit
from stream_app.detection.campaigns.links import KINDS, Population
from stream_app.detection.campaigns.profiles import Flags

#: Carriers of a value that are worth the look, small teams with one card and one office included, and the share of the
#: pool beyond which they are the pool.
MIN_CARRIERS, MAX_PART = 4, 0.5
#: Values tried per pool and tick, those of most carriers first.
MAX_TRIED = 8


def expel_cliques(population: Population, pool: Pool) -> list[Flags]:
    """Take out of a pool, in place, all cliques that do not fit it without themselves; they are returned."""
    expelled: list[Flags] = []
    for clique in _candidates(population, pool):
        if not (pool.share[clique] > 0.5).any():
            continue
        rest = Pool(np.where(clique, 0.0, pool.share), has_links=pool.has_links, weights=dict(pool.weights))
        rest.nats = dict(pool.nats)
        if rest.size < MIN_POOL:
            continue
        refit(population, rest)
        if np.median(rest.odds[clique & (pool.share > 0.5)]) <= 0:
            expelled.append(clique & (pool.share > 0.5))
            pool.share = rest.share
            grow(population, pool, rounds=2)
    return expelled


def _candidates(population: Population, pool: Pool) -> list[Flags]:
    likely = pool.share > 0.5
    most = MAX_PART * np.count_nonzero(likely)
    found: list[tuple[float, str, int]] = []
    for kind in KINDS:
        if kind.is_hard or kind.name == "ja4":
            links = population.links[kind.name]
            inside = np.bincount(links.cols, weights=likely[links.rows], minlength=len(links.degree))
            chosen = np.flatnonzero((inside >= MIN_CARRIERS) & (inside <= most))
            found += [(-float(inside[col]), kind.name, int(col)) for col in chosen]
    cliques = []
    for _, name, col in sorted(found)[:MAX_TRIED]:
        carriers = np.zeros(len(population), np.bool_)
        carriers[population.links[name].holders(col)] = True
        cliques.append(carriers)
    return cliques
