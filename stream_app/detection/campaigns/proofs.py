"""What a pool has in common, as proofs by group of links, and whether its values are a pool of values or one."""

from collections.abc import Collection, Set
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from stream_app.detection.campaigns.fabrics import HARD_KINDS, effective_of, fabric_of, own_columns
from stream_app.detection.campaigns.growth import COUNTS_FROM, Pool
from stream_app.detection.campaigns.likelihoods import SETTLING_ROUNDS, Weights, by_group, fit
from stream_app.detection.campaigns.links import GROUPS, HARD_GROUPS, KINDS, Incidence, Population
from stream_app.detection.campaigns.profiles import Flags, Floats
from stream_app.detection.campaigns.ratios import dot

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
#: Below this share a group is carried by a few members, and says nothing of the others: content is sent by and by, but
#: links are there from the beginning, and an office of ten with one card must not prove who pays for a hundred. With
#: half of its links and a third of all fields missing, a campaign brought 19 % in devices.
MIN_PROVING_SHARE, MIN_LINKED_SHARE = 0.05, 0.15
#: A link of many values (effective number, and that of networks), none of them that of most, is a pool of values.
#: A single value may be one customer, two one that has changed it, a campus has several networks, and a company
#: some cards and offices: several are not many, but neither are they one card.
SEVERAL, MANY = (3.0, 4.0), (5.0, 8.0)
#: A household pays with one card and signs up on one device: whoever is tied to more than one other is tied to a pool.
BEYOND_A_PAIR = 2
#: So many of those who bring a pool's values must have other links in common with it, too: with one other link on half
#: of its accounts it is a half; in a region whose offices had cards it was 17 %.
_LINKED_OTHERWISE = 0.25
#: How accounts came to be: who pays, on what they were signed up, when. Networks, client and prompts are what any
#: customer of a product has in common that reaches us through the product's gateway.
ORIGINS = frozenset({"payer", "device", "genesis"})
#: What people of one region have in common: neighbours their networks, and the offices among them some cards.
REGIONAL = frozenset({"payer", "network"})


class Proof(Struct, array_like=True):
    """Evidence of one group of links for a whole pool: nats in all, of the best control group, and provers."""

    nats: float
    control: float
    provers: float


class Spread(NamedTuple):
    """Values that members share: effective number, the top one and its share of the ``having`` that have any.

    The number is Simpson's, in which rare values hardly count: most members' one program stays one.
    """

    effective: float = 0.0
    top: float = 0.0
    column: int = -1
    having: float = 0.0


def proofs_of(
    population: Population,
    pool: Pool,
    controls: dict[str, float],
    least: float = MIN_NATS,
    groups: Collection[str] = GROUPS,
) -> dict[str, Proof]:
    """Those of these groups whose evidence is far ahead of all control groups and brought by enough members themselves.

    Of hard links that counts which those have in common who belong to the pool without them: people have several
    networks, and in each neighbours who have others, so that a pool may grow along them as long as it likes.
    """
    proofs: dict[str, Proof] = {}
    for group, nats in by_group(pool.nats).items():
        if group not in groups:
            continue
        share, least_share = pool.share, MIN_PROVING_SHARE if group == "content" else MIN_LINKED_SHARE
        if group in HARD_GROUPS:
            share, nats = _on_their_own(population, pool, group, nats)  # noqa: PLW2901
        summed, control = dot(share, nats), controls.get(group, 0.0)
        provers = float(share[nats >= PROOF].sum())
        is_wide = provers >= max(MIN_PROVERS, least_share * telling(population, share, group))
        if is_wide and summed - control >= least:
            proofs[group] = Proof(round(summed, 1), round(control, 1), round(provers, 1))
    return proofs


def telling(population: Population, share: Floats, group: str) -> float:
    """Members of whom any value of a group of links is known: of the others it is neither proved nor lacking."""
    has = np.any([population.links[kind.name].has for kind in KINDS if kind.group == group], axis=0)
    return dot(share, has)


def _on_their_own(population: Population, pool: Pool, group: str, nats: Floats) -> tuple[Floats, Floats]:
    """How far each would belong to a pool without a group of links, and nats of hard ones that those have in common.

    A card programme is a region's, and what two have in common a household's: neither proves that a pool has cards.
    """
    share = _share_without(pool, nats)
    counted = np.where(share >= COUNTS_FROM, share, 0.0)
    apart: dict[str, Floats] = {}
    for kind in KINDS:
        if kind.group == group and kind.is_hard:
            links, weights = population.links[kind.name], Weights()
            for _ in range(SETTLING_ROUNDS):
                apart[kind.name], weights = fit(links, kind, counted, weights)
            is_tied = tied_by(links, counted > 0.5, BEYOND_A_PAIR)
            apart[kind.name] = np.where(is_tied, apart[kind.name], np.minimum(apart[kind.name], 0.0))
    return share, by_group(apart)[group]


def tied_by(links: Incidence, members: Flags, least: int) -> Flags:
    """Tenants who carry a value that so many of these others carry, too."""
    inside = np.bincount(links.cols, weights=members[links.rows], minlength=len(links.degree))
    tied = np.zeros(len(members), np.bool_)
    tied[links.rows[inside[links.cols] - members[links.rows] >= least]] = True
    return tied


def _share_without(pool: Pool, nats: Floats) -> Floats:
    """As far as nobody else competes: who has been kept out by his lack of it might belong without it."""
    odds = np.clip(pool.odds, -30, 30)
    uncontested = np.minimum(pool.share * (1.0 + np.exp(-odds)), 1.0)
    share: Floats = uncontested / (1.0 + np.exp(np.clip(nats - odds, -30, 30)))
    return share


def is_held(groups: Set[str], pooled: Collection[str], origins: Collection[str] = ORIGINS) -> bool:
    """Whether links hold a pool together, by the groups proved and those of them that are pools of values.

    It takes a pool of hard links and another group; one of them must be of how the accounts came to be (``origins``),
    and one more than a region.
    """
    links = groups - {"content"}
    return not links.isdisjoint(pooled) and len(links) >= 2 and not links.isdisjoint(origins) and not links <= REGIONAL


class Pooled(NamedTuple):
    """Groups whose hard links are pools of ``many`` values, and of ``several`` at least."""

    many: list[str]
    several: list[str]


def pooled_of(population: Population, pool: Pool, groups: Set[str]) -> Pooled:
    """Groups among these whose hard links are a pool of values rather than one value, or one for every customer.

    Values are a pool among members whom they tie to each other: of a product's customers each has cards and offices of
    its own, and all together have many. Of the members whom anything ties, most must be among such; and they are those
    who have other links in common with the pool, and not a small part of those who bring this one: neighbours in
    a region share many networks and its offices cards, but these are not the same people. A card programme is a
    region's, as its networks are.
    """
    names = {kind.name for kind in KINDS if kind.is_hard or kind.group not in HARD_GROUPS}
    grouped = by_group({name: nats for name, nats in pool.nats.items() if name in names})
    pooled = Pooled([], [])
    for kind in KINDS:
        if kind.is_hard and kind.group in groups:
            own = {kind.group, "content"} | (REGIONAL if kind.group in REGIONAL else set())
            others = [np.maximum(nats, 0.0) for group, nats in grouped.items() if group not in own]
            linked = np.where(np.sum(others, axis=0) >= PROOF, pool.share, 0.0)
            bring = (grouped[kind.group] >= PROOF).astype(np.float64)
            if dot(linked, bring) < _LINKED_OTHERWISE * dot(pool.share, bring):
                continue
            columns = {hard.name: own_columns(population, linked, hard) for hard in HARD_KINDS}
            fabric = fabric_of(population, linked, columns)
            tied = fabric.sizes
            effective = effective_of(population, fabric, kind.name)
            for least, found in ((MANY, pooled.many), (SEVERAL, pooled.several)):
                is_pool = effective >= least[kind.name == "prefix"]
                if 2 * tied[is_pool].sum() >= tied.sum() > 0:
                    found.append(kind.group)
    return pooled


def spread_of(population: Population, kind: str, share: Floats) -> Spread:
    """How members' values of one kind are spread; those of one member alone do not count."""
    links = population.links[kind]
    inside = np.bincount(links.cols, weights=share[links.rows], minlength=len(links.degree))
    shared = inside[inside >= 1.5]
    having = float(share[links.has].sum())
    if not len(shared) or having <= 0:
        return Spread()
    effective = float(shared.sum() ** 2 / (shared**2).sum())
    return Spread(effective, float(shared.max() / having), int(inside.argmax()), having)
