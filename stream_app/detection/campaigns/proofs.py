"""What a pool has in common, as proofs by group of links, and whether its values are a pool of values or one."""

from collections.abc import Collection, Set
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.likelihoods import by_group, dot
from stream_app.detection.campaigns.links import KINDS, Population
from stream_app.detection.campaigns.profiles import Floats

#: A pool of fewer members is for a person to look at.
MIN_MEMBERS = 20
#: Nats that a group of links must be ahead of the best control group: one chance in 10^8, spent over some thousand
#: looks and a hundred pools a look.
MIN_NATS = 18.0 + np.log(100_000)
#: And for content, where links alone hold the pool: there are ten such pools at a time rather than a hundred, whatever
#: their prompts, and one look sees the evidence of the one before, grown. One chance in 10^8 at each look of ten pools
#: is one wrong proof in over a hundred years.
HELD_NATS = 18.0
#: Members that must bring the evidence of a group themselves, each with at least ``PROOF`` nats.
MIN_PROVERS = 8
PROOF = 1.5
#: Below this a group is carried by a few members, and says nothing of the others.
MIN_PROVING_SHARE = 0.05
#: A link of this many values (effective number), none of them with more than this share, is a pool of values; a single
#: value may be one customer, and two one that has changed it; a campus has several networks.
MIN_VALUES, MIN_NETWORKS, MAX_TOP_SHARE = 3.0, 4.0, 0.5
#: How accounts came to be: who pays, on what they were signed up, when. Networks, client and prompts are what any
#: customer of a product has in common that reaches us through the product's gateway.
ORIGINS = frozenset({"payer", "device", "genesis"})


class Proof(Struct, array_like=True):
    """Evidence of one group of links for a whole pool: nats in all, of the best control group, and provers."""

    nats: float
    control: float
    provers: float


class Spread(NamedTuple):
    """Values that members share: effective number, the top one and its share of the ``having`` that have any."""

    effective: float = 0.0
    top: float = 0.0
    column: int = -1
    having: float = 0.0


def proofs_of(pool: Pool, controls: dict[str, float], least: float = MIN_NATS) -> dict[str, Proof]:
    """Groups whose evidence is so far ahead of all control groups and brought by enough members themselves."""
    proofs: dict[str, Proof] = {}
    for group, nats in by_group(pool.nats).items():
        summed, control = dot(pool.share, nats), controls.get(group, 0.0)
        provers = float(pool.share[nats >= PROOF].sum())
        is_wide = provers >= max(MIN_PROVERS, MIN_PROVING_SHARE * pool.size)
        if is_wide and summed - control >= least:
            proofs[group] = Proof(round(summed, 1), round(control, 1), round(provers, 1))
    return proofs


def is_held(groups: Set[str], pooled: Collection[str]) -> bool:
    """Whether links hold a pool together, by the groups proved and those of them that are pools of values.

    It takes a pool of hard links and another group, and one of them must be of how the accounts came to be.
    """
    return bool(pooled) and len(groups - {"content"}) >= 2 and not ORIGINS.isdisjoint(groups)


def pooled_of(population: Population, share: Floats, groups: Set[str]) -> list[str]:
    """Groups among these whose hard links are a pool of values rather than one value."""
    pooled = []
    for kind in KINDS:
        if kind.is_hard and kind.group in groups:
            spread = spread_of(population, kind.name, share)
            least = MIN_NETWORKS if kind.name == "prefix" else MIN_VALUES
            if spread.effective >= least and spread.top <= MAX_TOP_SHARE:
                pooled.append(kind.group)
    return pooled


def spread_of(population: Population, kind: str, share: Floats) -> Spread:
    """How members' values of one kind are spread; those of one member alone do not count."""
    links = population.links[kind]
    inside = np.bincount(links.cols, weights=share[links.rows], minlength=len(links.degree))
    shared = inside[inside >= 1.5]
    having = float(share[links.has].sum())
    if not len(shared) or having <= 0:
        return Spread()
    part = shared / shared.sum()
    effective = float(np.exp(-(part * np.log(part)).sum()))
    return Spread(effective, float(shared.max() / having), int(inside.argmax()), having)
