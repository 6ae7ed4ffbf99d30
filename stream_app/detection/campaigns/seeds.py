"""Where to look: values whose carriers have more in common than that value."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from stream_app.detection.campaigns.links import KINDS, Incidence, Kind, Population
from stream_app.detection.campaigns.profiles import Flags, Floats

SEEDING = tuple(kind for kind in KINDS if kind.is_seed)
#: Fewer carriers are a family or a team; the pool is found by its larger values, or not yet.
MIN_CARRIERS = 5
#: The simplest rule: one card in so many tenants is worth a look, whatever else they have in common.
SHARED_PAYMENT = 10
#: A value of more than this share of all tenants is a popular product.
MAX_SHARE = 0.2
#: Columns of one product at a time: bounds memory to some hundred megabytes.
_COLUMNS = 4096
#: A hub (a popular client) met by another hub says little and costs much.
_LARGEST_HUB = 4000


class Seed(NamedTuple):
    """A value to grow a pool from, and the nats its carriers have in common beside it."""

    kind: str
    col: int
    nats: float


def seeds(population: Population, most: int) -> list[Seed]:
    """The values with most nats in common among their carriers beside the value itself, the strongest first."""
    found: list[Seed] = []
    for kind in SEEDING:
        links = population.links[kind.name]
        wide = np.flatnonzero((links.degree >= MIN_CARRIERS) & (links.degree <= MAX_SHARE * len(population)))
        if not len(wide):
            continue
        nats = _nats_in_common(population, kind, wide)
        if kind.name == "payment":
            nats += np.where(links.degree[wide] >= SHARED_PAYMENT, links.degree[wide], 0.0)
        best = np.argsort(-nats, kind="stable")[:most]
        found += [Seed(kind.name, int(wide[place]), float(nats[place])) for place in best if nats[place] > 0]
    return sorted(found, key=lambda seed: (-seed.nats, seed.kind, seed.col))


def _nats_in_common(population: Population, kind: Kind, wide: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Floats:
    """Per value: what its carriers share of other groups, leave-one-out, capped for each carrier as in a pool."""
    links = population.links[kind.name]
    nats = np.zeros(len(wide))
    for start in range(0, len(wide), _COLUMNS):
        part = wide[start : start + _COLUMNS]
        carriers = links.matrix[:, part].T.tocsr()
        for other in SEEDING:
            if other.group != kind.group:
                nats[start : start + _COLUMNS] += _common(carriers, population.links[other.name], other)
    return nats


def _common(carriers: sparse.csr_matrix, other: Incidence, kind: Kind) -> Floats:
    known = np.asarray(carriers @ other.has.astype(np.float64)).ravel()
    columns = np.flatnonzero(other.degree <= _LARGEST_HUB)
    matrix = other.matrix if len(columns) == len(other.degree) else other.matrix[:, columns]
    together = (carriers @ matrix).tocoo()
    many = together.data >= 2
    row, col, count = together.row[many], columns[together.col[many]], together.data[many]
    inside = (count - 1.0) / np.maximum(known[row], 1.0)
    outside = (other.degree[col] - count + 0.5) / (other.has.sum() - known[row] + 1.0)
    gain = count * np.clip(np.log(inside / np.maximum(outside, 1e-12)), 0.0, kind.cap)
    summed = np.bincount(row, weights=gain, minlength=carriers.shape[0])
    return np.minimum(summed, known * kind.cap)


def carriers_of(population: Population, seed: Seed) -> Flags:
    """Tenants that carry a seed's value."""
    marked = np.zeros(len(population), np.bool_)
    marked[population.links[seed.kind].holders(seed.col)] = True
    return marked
