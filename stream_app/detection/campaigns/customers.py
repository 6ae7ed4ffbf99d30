"""Whether a pool may be one honest customer's: one card, or one sign-up device, behind most of its members.

A customer explains those whom it pays for or has signed up, and nobody else. So the pool is looked at without them: if
those who demonstrably pay otherwise do the same work and are held together by links, one hand is behind them too, and
no account that it pays for with one card makes them honest. Customers of a reseller or of a product who pay for
themselves share its networks and its client, but not how their accounts came to be.

And a customer may have come into a pool by what its people ask: the pool's cards and devices say nothing of them.
"""

import math
from collections.abc import Collection, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.fabrics import Fabric, effective_of, fabric_of, own_columns
from stream_app.detection.campaigns.growth import Pool, refit
from stream_app.detection.campaigns.likelihoods import by_group
from stream_app.detection.campaigns.links import KINDS, Kind, Population
from stream_app.detection.campaigns.profiles import Flags, Floats
from stream_app.detection.campaigns.proofs import (
    MANY,
    MIN_MEMBERS,
    MIN_NATS,
    PROOF,
    SEVERAL,
    Spread,
    is_held,
    pooled_of,
    proofs_of,
    spread_of,
)
from stream_app.detection.campaigns.ratios import dot

#: One card or device of this share of the members that have any is one customer.
ONE_CUSTOMER = 0.6
#: Standard deviations by which it must be more to end a verdict: of twenty members twelve or fourteen are one by
#: chance.
_CLEARLY = 2.0
#: So many of those who brought in a card or a device, of the fewer ones, may have brought in the other: of a customer's
#: people all did, of a campaign's every second one, or as many as have the link at all.
_SAME_PEOPLE = 0.75
_KINDS = tuple(kind for kind in KINDS if kind.is_hard and kind.name != "prefix")
#: What ties a customer's people to each other: its cards and devices, and its product's client and system prompts.
#: Networks tie strangers, too, now and then two or three of a pool; and so does a client that is no more than so far
#: the pool's own.
_TIES = (*_KINDS, *(kind for kind in KINDS if kind.group == "client" and kind.is_seed))
_MOSTLY = 0.5


class Customer(NamedTuple):
    """One customer that could explain a pool, by its card (group ``payer``) or ``device``."""

    group: str
    is_clear: bool


def origins_of(population: Population, pool: Pool, groups: Set[str], pooled: Collection[str]) -> set[str]:
    """Cards and devices, if among these groups, that say how all members came to be: where they are ``pooled``.

    A card or two say nothing of others than those who have them: a customer pays for its people, and is one of those
    whom a product's gateway, client and prompts bring. Cards and devices count together where they are not the same
    people's, as a customer's would be.
    """
    found = {kind.group for kind in _KINDS} & groups
    are_two = len(found) == len(_KINDS) and not _is_one_origin(population, pool)
    return found if are_two else found & {*pooled}


def _is_one_origin(population: Population, pool: Pool) -> bool:
    """Whether those whom a card brought in are those whom a device did, as far as both are known."""
    known = np.all([population.links[kind.name].has for kind in _KINDS], axis=0) & (pool.share > 0.5)
    brought = [known & (pool.nats[kind.name] >= PROOF) for kind in _KINDS]
    fewer = min(np.count_nonzero(one) for one in brought)
    return bool(np.count_nonzero(np.all(brought, axis=0)) >= _SAME_PEOPLE * fewer)


def customers_inside(population: Population, pool: Pool, pooled: Set[str]) -> Flags:
    """Members with links of their own and a card or two, where the pool has many cards or devices (``pooled``)."""
    inside = np.zeros(len(population), np.bool_)
    counted = [kind for kind in _KINDS if kind.group in pooled]
    if counted:
        fabric = _fabric_of(population, pool)
        is_one = fabric.sizes >= MIN_MEMBERS
        for kind in counted:
            is_one &= effective_of(population, fabric, kind.name) < SEVERAL[0]
        inside[fabric.members >= 0] = is_one[fabric.members[fabric.members >= 0]]
    return inside


def is_mostly_one(population: Population, pool: Pool) -> bool:
    """Whether most members whom cards, devices or a client tie are of one part without many cards or many devices."""
    fabric = _fabric_of(population, pool)
    is_few = np.zeros(len(fabric.sizes), np.bool_)
    for kind in _KINDS:
        is_few |= effective_of(population, fabric, kind.name) < MANY[0]
    return bool((2 * fabric.sizes[is_few] >= fabric.sizes.sum()).any())


def _fabric_of(population: Population, pool: Pool) -> Fabric:
    return fabric_of(population, pool.share, {kind.name: _tying(population, pool, kind) for kind in _TIES})


def _tying(population: Population, pool: Pool, kind: Kind) -> NDArray[np.intp]:
    links, own = population.links[kind.name], own_columns(population, pool.share, kind)
    inside = np.bincount(links.cols, weights=pool.share[links.rows] > 0.5, minlength=len(links.degree))[own]
    return own[inside > _MOSTLY * links.degree[own]]


def customers_of(population: Population, pool: Pool, controls: dict[str, float]) -> list[Customer]:
    """Customers that could explain a pool; ``is_clear`` are those whose share of the members is beyond chance."""
    return [
        Customer(kind.group, _is_clear(spread))
        for kind, spread in _ones(population, pool.share)
        if not _stands_without(population, pool, kind, spread, controls)
    ]


def _ones(population: Population, share: Floats) -> list[tuple[Kind, Spread]]:
    spreads = [(kind, spread_of(population, kind.name, share)) for kind in _KINDS]
    return [(kind, spread) for kind, spread in spreads if spread.top > ONE_CUSTOMER]


def _is_clear(spread: Spread) -> bool:
    deviation = math.sqrt(spread.top * (1.0 - spread.top) / spread.having)
    return spread.top - _CLEARLY * deviation > ONE_CUSTOMER


def _stands_without(population: Population, pool: Pool, kind: Kind, spread: Spread, controls: dict[str, float]) -> bool:
    """Whether those who carry another value than the customer's are an operation of their own account.

    Who tells no value may be the customer's, and is left out with it.
    """
    links = population.links[kind.name]
    others = links.has.copy()
    others[links.holders(spread.column)] = False
    share = np.where(others, pool.share, 0.0)
    rest = Pool(share, pool.has_links, dict(pool.weights), dict(pool.nats), pool.odds)
    if _ones(population, rest.share):
        return False
    if not _is_clear(spread) and _is_bound(population, rest, kind, controls):
        return True
    if np.count_nonzero(rest.share > 0.5) < MIN_MEMBERS:
        return False
    refit(population, rest)
    groups = proofs_of(population, rest, controls).keys()
    return "content" in groups and is_held(groups, pooled_of(population, rest, groups).several)


def _is_bound(population: Population, rest: Pool, kind: Kind, controls: dict[str, float]) -> bool:
    """Whether they came to be as the customer's accounts did and do the same work, by what they share with all members.

    A dozen have too little in common among themselves to show it. Who pays for himself comes to a product through its
    gateway, with its client and its prompts, but was not signed up on its devices; nor has who was signed up elsewhere
    its cards.
    """
    groups = proofs_of(population, rest, controls).keys()
    origin = next(other.group for other in _KINDS if other is not kind)
    is_of_one_hand = dot(rest.share, by_group(rest.nats)[origin]) - controls.get(origin, 0.0) >= MIN_NATS
    return is_of_one_hand and "content" in groups and bool(pooled_of(population, rest, groups).several)
