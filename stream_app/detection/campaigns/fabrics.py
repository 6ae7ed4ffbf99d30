"""Parts of a pool: members whom values that hardly anybody else has tie to each other."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from stream_app.detection.campaigns.links import KINDS, Kind, Population
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.ratios import OWN_RATIO, ratios

HARD_KINDS = tuple(kind for kind in KINDS if kind.is_hard)
#: A value that more of a part's members have is the part's, whatever else some have: one customer's.
MAX_TOP_SHARE = 0.5


class Fabric(NamedTuple):
    """Parts of a pool, by number.

    ``members`` is the part by tenant, -1 whom nothing ties; ``columns`` are the tying values by kind, ``parts`` theirs.
    """

    members: NDArray[np.intp]
    columns: dict[str, NDArray[np.intp]]
    parts: dict[str, NDArray[np.intp]]

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Members by part."""
        return np.bincount(self.members[self.members >= 0])


def own_columns(population: Population, share: Floats, kind: Kind) -> NDArray[np.intp]:
    """Values that members share, and others hardly."""
    links = population.links[kind.name]
    entries, ratio = ratios(links, share, is_origin=kind.is_origin)
    own = entries[(ratio > OWN_RATIO) & (share[links.rows[entries]] > 0.5)]
    return np.unique(links.cols[own]).astype(np.intp)


def fabric_of(population: Population, share: Floats, own: dict[str, NDArray[np.intp]]) -> Fabric:
    """Tie members to each other by these values (columns), by kind."""
    likely = np.flatnonzero(share > 0.5)
    parts = [population.links[name].matrix[likely][:, columns] for name, columns in own.items()]
    carried = sparse.hstack(parts).tocsr()  # type: ignore[no-untyped-call]
    ties = sparse.bmat([[None, carried], [carried.T, None]]).tocsr()  # type: ignore[no-untyped-call]
    labels = csgraph.connected_components(ties, directed=False)[1]
    members = np.full(len(population), -1)
    members[likely] = np.where(carried.getnnz(axis=1) > 0, labels[: len(likely)], -1)
    ends = np.cumsum([len(likely), *(len(columns) for columns in own.values())])
    return Fabric(members, own, dict(zip(own, np.split(labels, ends)[1:], strict=False)))


def effective_of(population: Population, fabric: Fabric, kind: str) -> Floats:
    """By part: effective number of its values of a kind, 0 where most members that have any have one of them."""
    links, columns, part = population.links[kind], fabric.columns[kind], fabric.parts[kind]
    count = len(fabric.sizes)
    carriers = links.matrix[:, columns].T @ (fabric.members >= 0).astype(np.float64)
    in_part = np.bincount(part, weights=carriers, minlength=count)
    having = np.bincount(fabric.members[links.has & (fabric.members >= 0)], minlength=count)
    share = carriers / in_part[part]
    effective: Floats = np.exp(-np.bincount(part, weights=share * np.log(share), minlength=count))
    top = np.zeros(count)
    np.maximum.at(top, part, carriers / having[part])
    effective[(top > MAX_TOP_SHARE) | (in_part <= 0)] = 0.0
    return effective
