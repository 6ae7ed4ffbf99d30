"""Rivals that name groups of tenants: what each finds in the events so far, simply, as its users write it."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from benchmarks.campaigns.observations import DAY_MS, HOUR_MS, Ints, Seen

#: One card of so many tenants is looked at: a family or an agency has fewer.
SHARED_PAYMENT = 10
#: Shared values of more tenants than this are a popular client or a provider's network, and link nobody.
POPULAR = 50
#: A component of fewer tenants is an office.
COMPONENT = 20
#: Two accounts act together when they have so many acts in common, and such a share (Jaccard) of all their acts.
COMMON_ACTS, COMMON_SHARE = 2, 0.1
#: An act that so many did in one hour is everybody's.
CROWD = 100
#: Blocks taken off one after the other, the share of the nodes that stays in each round of peeling, and the density
#: of a block that is told: what the benign world of the tuning seeds stays below.
BLOCKS, PEELED, DENSITY = 5, 0.1, 1.9

Floats = NDArray[np.float64]


class GroupRival(Struct, frozen=True):
    """``groups`` gives sets of tenants; it is asked every so many hours of event time."""

    name: str
    every_h: int
    groups: Callable[[Seen], list[Ints]]


def shared_payment(seen: Seen) -> list[Ints]:
    """Tenants of one card."""
    tenant, card = _pairs(seen.tenant, seen.links["payment"])
    return _classes(tenant, card, SHARED_PAYMENT)


def components(seen: Seen) -> list[Ints]:
    """Connected components of tenants and the values that link them, popular ones left out."""
    edges = [_unpopular(*_pairs(seen.tenant, column)) for column in seen.links.values()]
    first, tenants, values = len(seen.tenants), [], []
    for tenant, value in edges:
        tenants.append(tenant)
        values.append(value + first)
        first += int(value.max(initial=0)) + 1
    return _components(np.concatenate(tenants), np.concatenate(values), first, len(seen.tenants), COMPONENT)


def acting_together(seen: Seen) -> list[Ints]:
    """After SynchroTrap (Cao et al. 2014): accounts that do the same in the same hour, several times a day, linked.

    An act is a prompt of one skeleton, or any request from one /24, within an hour.
    """
    if not len(seen.time_ms):
        return []
    today = seen.between(int(seen.time_ms[-1]) - DAY_MS, np.inf)
    hour = today.time_ms // HOUR_MS
    hour -= hour.min()
    acts = []
    for column in (today.template, today.links["prefix"]):
        acts.append(np.where(column > 0, column * 32 + hour, 0))
    acts[1] = np.where(acts[1] > 0, acts[1] + acts[0].max() + 1, 0)
    tenant, act = _pairs(np.tile(today.tenant, 2), np.concatenate(acts))
    tenant, act = _unpopular(tenant, act, CROWD)
    count = len(seen.tenants)
    did = csr_array((np.ones(len(tenant)), (tenant, act)), shape=(count, int(act.max(initial=0)) + 1))
    both = coo_array(did @ did.T)
    of_each = np.asarray(did.sum(axis=1))
    rows, cols = both.coords
    share = both.data / (of_each[rows] + of_each[cols] - both.data)
    together = (rows < cols) & (both.data >= COMMON_ACTS) & (share >= COMMON_SHARE)
    return _components(rows[together], cols[together], count, count, COMPONENT)


def dense_blocks(seen: Seen) -> list[Ints]:
    """Densest blocks of tenants and values, with Fraudar's weights (Hooi et al. 2016), peeled in batches.

    Batches (Bahmani et al. 2012) stand for Fraudar's one node at a time: as good within a constant, and fast.
    """
    first, tenants, values = 0, [], []
    for column in (*seen.links.values(), seen.template):
        tenant, value = _pairs(seen.tenant, column)
        tenants.append(tenant)
        values.append(value + first)
        first += int(value.max(initial=0)) + 1
    tenant, value = _unpopular(np.concatenate(tenants), np.concatenate(values), len(seen.tenants))
    weight = 1.0 / np.log(np.bincount(value, minlength=1)[value] + 5.0)
    found = []
    for _ in range(BLOCKS):
        block, density = _densest(tenant, value, weight)
        if density < DENSITY or not len(block):
            break
        if len(block) >= COMPONENT:
            found.append(block)
        left = ~np.isin(tenant, block)
        tenant, value, weight = tenant[left], value[left], weight[left]
    return found


def _densest(tenant: Ints, value: Ints, weight: Floats) -> tuple[Ints, float]:
    best: tuple[Ints, float] = (np.zeros(0, np.int64), 0.0)
    while len(tenant):
        columns, value = np.unique(value, return_inverse=True)
        rows, inside = np.unique(tenant, return_inverse=True)
        density = float(weight.sum()) / (len(rows) + len(columns))
        if density > best[1]:
            best = (rows, density)
        row_weight = np.bincount(inside, weights=weight)
        col_weight = np.bincount(value, weights=weight)
        lowest = (1 + PEELED) * 2 * density
        lowest = min(lowest, max(np.quantile(row_weight, PEELED), np.quantile(col_weight, PEELED)))
        stays = (row_weight[inside] > lowest) & (col_weight[value] > lowest)
        tenant, value, weight = tenant[stays], value[stays], weight[stays]
    return best


def _pairs(tenant: Ints, value: Ints) -> tuple[Ints, Ints]:
    """Each pair of a tenant and a value once."""
    width = int(value.max(initial=0)) + 1
    pairs = np.unique((tenant * width + value)[value > 0])
    return pairs // width, pairs % width


def _unpopular(tenant: Ints, value: Ints, most: int = POPULAR) -> tuple[Ints, Ints]:
    """Pairs whose value several tenants have, and not too many."""
    degree = np.bincount(value, minlength=1)[value] if len(value) else value
    keep = (degree > 1) & (degree <= most)
    return tenant[keep], value[keep]


def _components(one: Ints, other: Ints, nodes: int, tenants: int, least: int) -> list[Ints]:
    graph = csr_array((np.ones(len(one)), (one, other)), shape=(nodes, nodes))
    labels = connected_components(graph, directed=False)[1][:tenants]
    return _classes(np.arange(1, tenants), labels[1:], least)


def _classes(tenant: Ints, label: Ints, least: int) -> list[Ints]:
    def split() -> Iterator[Ints]:
        order = np.argsort(label, kind="stable")
        edges = [0, *(np.flatnonzero(np.diff(label[order])) + 1).tolist(), len(label)]
        for begin, end in pairwise(edges):
            if end - begin >= least:
                yield tenant[order[begin:end]]

    return list(split())


GROUP_RIVALS = (
    GroupRival("shared payment (≥ 10 tenants)", 1, shared_payment),
    GroupRival("connected components", 6, components),
    GroupRival("acting together (SynchroTrap)", 6, acting_together),
    GroupRival("dense blocks (Fraudar)", 6, dense_blocks),
)
