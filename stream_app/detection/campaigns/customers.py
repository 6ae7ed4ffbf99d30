"""Whether a pool may be one honest customer's: one card, or one sign-up device, behind most of its members.

A customer explains those whom it pays for or has signed up, and nobody else. So the pool is looked at without them: if
those who demonstrably pay otherwise do the same work and are held together by links, one hand is behind them too, and
no account that it pays for with one card makes them honest. Customers of a reseller or of a product who pay for
themselves share its networks and its client, but not how their accounts came to be.
"""

import math
from typing import NamedTuple

import numpy as np

from stream_app.detection.campaigns.growth import Pool, refit
from stream_app.detection.campaigns.likelihoods import by_group
from stream_app.detection.campaigns.links import KINDS, Kind, Population
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.proofs import (
    MIN_MEMBERS,
    MIN_NATS,
    Spread,
    is_held,
    pooled_of,
    proofs_of,
    single_of,
    spread_of,
)
from stream_app.detection.campaigns.ratios import dot

#: One card or device of this share of the members that have any is one customer.
ONE_CUSTOMER = 0.6
#: Standard deviations by which it must be more to end a verdict: of twenty members twelve or fourteen are one by
#: chance.
_CLEARLY = 2.0
_KINDS = tuple(kind for kind in KINDS if kind.is_hard and kind.name != "prefix")


class Customer(NamedTuple):
    """One customer that could explain a pool, by its card (group ``payer``) or ``device``."""

    group: str
    is_clear: bool


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
    single = single_of(population, rest.share)
    return "content" in groups and is_held(groups, pooled_of(population, rest, groups).several, single)


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
