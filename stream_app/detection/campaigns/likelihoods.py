"""How much better a tenant's links fit a pool than everybody else: log likelihood ratios in nats, leave-one-out.

For a value v that a tenant carries, the ratio is the share that v has of all the pool's other members carry over the
share it has of what the other outsiders do. A member need not carry the pool's values: with weight ``outside`` each of
its values is anybody's, and with weight ``without`` it does not take part in this kind of link at all. Both are
fitted, so that a kind the pool does not share ends up weighing nothing. An absent field is no evidence.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.links import FLOOR, GROUP_CAP, GROUPS, KINDS, Incidence, Kind, Population
from stream_app.detection.campaigns.profiles import Floats

#: Jeffreys' half: a value that no outsider was seen with may still have one.
_UNSEEN = 0.5
#: A pool of a handful proves little about its shares: as if one more member carried nothing shared.
_DOUBT = 1.0
#: Fitted weights stay off the ends, where they could never move again; a pool has strangers in it and strays.
_LEAST, _MOST = 0.02, 0.995
_MAX_EXPONENT = 30.0


class Weights(NamedTuple):
    """What is fitted of one pool for one kind; at first a kind is taken for one that it hardly shares."""

    outside: float = 0.8
    without: float = 0.8


class Fit(NamedTuple):
    """A pool's nats for every tenant from one kind, and the weights that the next round starts from."""

    nats: Floats
    weights: Weights


class Ratios(NamedTuple):
    """Likelihood ratios of entries; that of all other entries is 0."""

    entries: NDArray[np.intp]
    values: Floats


def ratios(links: Incidence, share: Floats) -> Ratios:
    """Likelihood ratios, when ``share`` (0..1, by tenant) says how far each belongs to the pool.

    Shares are of all values carried, not of carriers: who asks much carries more of everything. Only entries of values
    that somebody in the pool carries are looked at, so that the cost is that of the pool and not of everybody.
    """
    members = np.flatnonzero(share)
    mine = links.entries_of_tenants(members)
    inside = np.bincount(links.cols[mine], weights=share[links.rows[mine]], minlength=len(links.degree))
    entries = links.entries_of_values(np.flatnonzero(inside))
    rows, cols = links.rows[entries], links.cols[entries]
    own, inside = share[rows], inside[cols]
    within = float(share[members] @ links.carried[members])
    held = np.maximum(inside - own, 0.0) / (np.maximum(within - own * links.carried[rows], 0.0) + _DOUBT)
    outsiders = np.maximum(links.degree[cols] - inside - (1.0 - own), 0.0)
    usual = (outsiders + _UNSEEN) / (max(links.carried_in_all - within, 0.0) + 2 * _UNSEEN)
    return Ratios(entries, held / usual)


def fit(links: Incidence, kind: Kind, share: Floats, weights: Weights) -> Fit:
    """Nats of every tenant for one kind under the weights given, and better weights.

    Tenants that carry none of the pool's values differ only in how many they carry.
    """
    entries, ratio = ratios(links, share)
    rows, log_outside = links.rows[entries], np.log(weights.outside)
    mixed = weights.outside + (1.0 - weights.outside) * ratio
    gain = np.bincount(rows, weights=np.log(mixed) - log_outside, minlength=len(share))
    levels = _nats(np.arange(links.carried.max(initial=0) + 1) * log_outside, weights.without)
    nats = np.clip(levels, FLOOR, kind.cap)[links.carried]
    reached = np.flatnonzero(gain)
    reached_nats = _nats(gain[reached] + links.carried[reached] * log_outside, weights.without)
    nats[reached] = np.clip(reached_nats, FLOOR, kind.cap)
    members = np.flatnonzero(share * links.has)
    taking_part = _taking_part(gain[members] + links.carried[members] * log_outside, weights.without)
    part = share[members] * taking_part / (weights.without + taking_part)
    shared = np.bincount(rows, weights=(1.0 - weights.outside) * ratio / mixed, minlength=len(share))[members]
    fitted = Weights(
        outside=_between(1.0 - _share_of(float(part @ shared), float(part @ links.carried[members]))),
        without=_between(1.0 - _share_of(float(part.sum()), float(share[members].sum()))),
    )
    return Fit(nats, fitted)


def _taking_part(logs: Floats, without: float) -> Floats:
    taking_part: Floats = (1.0 - without) * np.exp(np.clip(logs, -_MAX_EXPONENT, _MAX_EXPONENT))
    return taking_part


def _nats(logs: Floats, without: float) -> Floats:
    nats: Floats = np.log(without + _taking_part(logs, without))
    return nats


def by_group(nats: dict[str, Floats]) -> dict[str, Floats]:
    """Nats of kinds that are one thing, put together and capped."""
    grouped: dict[str, Floats] = {}
    for kind in KINDS:
        if kind.name in nats:
            grouped[kind.group] = grouped.get(kind.group, 0.0) + nats[kind.name]
    return {group: np.clip(grouped[group], FLOOR, GROUP_CAP) for group in GROUPS if group in grouped}


def total(population: Population, nats: dict[str, Floats]) -> Floats:
    """Nats of all groups together."""
    summed = np.zeros(len(population))
    for part in by_group(nats).values():
        summed += part
    return summed


def _between(weight: float) -> float:
    return min(max(weight, _LEAST), _MOST)


def _share_of(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
