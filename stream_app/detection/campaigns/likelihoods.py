"""How much better a tenant's links fit a pool than everybody else: log likelihood ratios in nats, leave-one-out.

For a value v that a tenant carries, the ratio is the share that v has of all the pool's other members carry over the
share it has of what the other outsiders do. A member need not carry the pool's values: with weight ``outside`` each of
its values is anybody's, and with weight ``without`` it does not take part in this kind of link at all. Both are
fitted, so that a kind the pool does not share ends up weighing nothing. An absent field is no evidence.
"""

from typing import NamedTuple

import numpy as np

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


def ratios(links: Incidence, share: Floats) -> Floats:
    """Likelihood ratio of every entry, when ``share`` (0..1, by tenant) says how far each belongs to the pool.

    Shares are of all values carried, not of carriers: who asks much carries more of everything.
    """
    columns = len(links.degree)
    own = share[links.rows]
    inside = np.bincount(links.cols, weights=own, minlength=columns)
    within = float(share @ links.carried)
    beyond = float(links.carried.sum()) - within
    own_part = own * links.carried[links.rows]
    held = np.maximum(inside[links.cols] - own, 0.0) / (np.maximum(within - own_part, 0.0) + _DOUBT)
    outsiders = np.maximum(links.degree[links.cols] - inside[links.cols] - (1.0 - own), 0.0)
    usual = (outsiders + _UNSEEN) / (np.maximum(beyond, 0.0) + 2 * _UNSEEN)
    result: Floats = held / usual
    return result


def fit(links: Incidence, kind: Kind, share: Floats, weights: Weights) -> Fit:
    """Nats of every tenant for one kind under the weights given, and better weights."""
    count = len(share)
    ratio = ratios(links, share)
    mixed = weights.outside + (1.0 - weights.outside) * ratio
    logs = np.bincount(links.rows, weights=np.log(mixed), minlength=count) + links.singles * np.log(weights.outside)
    taking_part = (1.0 - weights.without) * np.exp(np.clip(logs, -_MAX_EXPONENT, _MAX_EXPONENT))
    nats = np.where(links.has, np.log(weights.without + taking_part), 0.0)
    part = np.where(links.has, share * taking_part / (weights.without + taking_part), 0.0)
    shared = np.bincount(links.rows, weights=(1.0 - weights.outside) * ratio / mixed, minlength=count)
    fitted = Weights(
        outside=_between(1.0 - _share_of(float(part @ shared), float(part @ links.carried))),
        without=_between(1.0 - _share_of(float(part.sum()), float(share[links.has].sum()))),
    )
    return Fit(np.clip(nats, FLOOR, kind.cap), fitted)


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
