"""How much better a tenant's links fit a pool than everybody else: log likelihood ratios in nats, leave-one-out.

For a value v that a tenant carries, the ratio is the share that v has of all the pool's other members carry over the
share it has of what the other outsiders do. A member need not carry the pool's values: with weight ``outside`` each of
its values is anybody's, and with weight ``without`` it does not take part in this kind of link at all. Both are
fitted, so that a kind the pool does not share ends up weighing nothing. An absent field is no evidence.

Of kinds with many values a tenant, prompt skeletons, the pool's own are few and the others everybody's: their share of
all that members carry is no measure of these few. There a value speaks by how many more members carry it than chance
would have.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.links import FLOOR, GROUP_CAP, GROUPS, KINDS, Incidence, Kind, Population
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.ratios import UNSEEN, Numbers, dot, excess_of, ratio_of, unseen_of

#: Fitted weights stay off the ends, where they could never move again; a pool has strangers in it and strays.
_LEAST, _MOST = 0.02, 0.995
#: And that of taking no part stays where a few rounds bring it back: extraction begins long after the accounts do.
_MOST_WITHOUT = 0.9
#: Rounds of fitting after which weights have settled.
SETTLING_ROUNDS = 3
_MAX_EXPONENT = 30.0
#: Times chance, beyond its spread, that members carry a value that is the pool's own: a wrapper of half a dozen members
#: at least, and of nobody else. What is carried a little more often than by chance adds up in whoever asks much.
OWN_EXCESS = 10.0


class Weights(NamedTuple):
    """What is fitted of one pool for one kind; at first a kind is taken for one that it hardly shares."""

    outside: float = 0.8
    without: float = 0.8


class Fit(NamedTuple):
    """A pool's nats for every tenant from one kind, and the weights that the next round starts from."""

    nats: Floats
    weights: Weights


def fit(  # noqa: PLR0917
    links: Incidence,
    kind: Kind,
    share: Floats,
    weights: Weights,
    least_chance: float = UNSEEN,
    trusted: Floats | None = None,
    *,
    is_held: bool = False,
) -> Fit:
    """Nats of every tenant for one kind under the weights given, and better weights.

    The weights are learned from members as far as they are ``trusted``, where that is told, instead of their share.
    Where links hold the pool (``is_held``), who carries one of many values that is the pool's own may carry any others:
    accounts begin their work at different times, and at rates of their own.

    Of kinds with many values none is taken for so rare that fewer members than ``least_chance`` carried it by chance.
    Without a vote of their own tenants differ only in the values they carry: one logarithm a value and one product of
    a matrix do for all of them, and only members are looked at one by one.
    """

    # Methods of arrays instead of numpy's functions, and flags instead of floats to look for what is not 0: this is
    # called for every kind of link in every round of every pool.
    of = _entries_of(links, share)
    every = np.bincount(of.cols, weights=of.own, minlength=len(links.degree))

    def mixed(degree: Floats, inside: Numbers, own: Floats | float, own_part: Floats | float) -> Floats:
        if kind.has_many:
            return weights.outside + excess_of(links, of.within, degree, inside, own, own_part, least_chance)
        unseen = unseen_of(every, inside - own, is_origin=kind.is_origin)
        ratio = ratio_of(links, of.within, degree, inside, own, own_part, unseen)
        return weights.outside + (1.0 - weights.outside) * ratio

    log_outside = np.log(weights.outside)
    common = (every != 0).nonzero()[0]
    gains = np.zeros(len(links.degree))
    gains[common] = np.log(mixed(links.degree[common], every[common], 0.0, 0.0)) - log_outside
    logs = links.matrix @ gains + links.carried * log_outside
    times = mixed(links.degree[of.cols], every[of.cols], of.own, of.own * links.carried[of.members][of.whose])
    logs[of.members] = np.bincount(of.whose, weights=np.log(times), minlength=len(of.members))
    logs[of.members] += (links.carried[of.members] - links.shared[of.members]) * log_outside
    if kind.has_many and is_held:
        gained = np.where(times >= OWN_EXCESS, np.log(times) - log_outside, 0.0)
        logs = np.maximum(logs, _of_own_values(links, of, share, gains, gained))
    taking_part = (1.0 - weights.without) * np.exp(logs.clip(-_MAX_EXPONENT, _MAX_EXPONENT))
    nats = np.log(weights.without + taking_part)
    nats[links.lacking] = 0.0
    having = (share if trusted is None else trusted)[of.members] * links.has[of.members]
    part = having * taking_part[of.members] / (weights.without + taking_part[of.members])
    shared = np.bincount(of.whose, weights=1.0 - weights.outside / times, minlength=len(of.members))
    fitted = Weights(
        outside=_between(1.0 - _share_of(dot(part, shared), dot(part, links.carried[of.members]))),
        without=min(_between(1.0 - _share_of(float(part.sum()), float(having.sum()))), _MOST_WITHOUT),
    )
    return Fit(nats.clip(FLOOR, kind.cap), fitted)


class _Entries(NamedTuple):
    """What members carry: the ``cols`` of all their entries, ``whose`` of ``members`` each is and how far he belongs.

    ``within`` is all that they carry, as far as they belong.
    """

    members: NDArray[np.intp]
    cols: NDArray[np.integer]
    whose: NDArray[np.intp]
    own: Floats
    within: float


def _entries_of(links: Incidence, share: Floats) -> _Entries:
    members = (share != 0).nonzero()[0]
    mine = links.entries_of_tenants(members)
    whose = np.arange(len(members)).repeat(links.shared[members])
    return _Entries(
        members, links.cols[mine], whose, share[links.rows[mine]], dot(share[members], links.carried[members])
    )


def _of_own_values(links: Incidence, of: _Entries, share: Floats, gains: Floats, gained: Floats) -> Floats:
    """Logarithms by the pool's own values alone, for as many chances as a tenant had; endlessly little without any.

    ``gains`` are by column, to those outside, ``gained`` by entry, to members.
    """
    entries = links.entries_of_values(np.flatnonzero(gains >= np.log(OWN_EXCESS)))
    logs = np.bincount(links.rows[entries], weights=gains[links.cols[entries]], minlength=len(links.carried))
    logs = logs.astype(np.float64)  # of no entries at all numpy counts in integers
    logs[of.members] = np.bincount(of.whose, weights=gained, minlength=len(of.members))
    chances = links.carried * (share[of.members].sum() / max(of.within, 1.0))
    return np.where(logs > 0, logs - np.log(np.maximum(chances, 1.0)), -np.inf)


def by_group(nats: dict[str, Floats]) -> dict[str, Floats]:
    """Nats of kinds that are one thing, put together and capped; who lacks it in several kinds lacks it once."""
    speaking: dict[str, Floats] = {}
    lacking: dict[str, Floats] = {}
    for kind in KINDS:
        if kind.name in nats:
            part = nats[kind.name]
            speaking[kind.group] = speaking.get(kind.group, 0.0) + np.maximum(part, 0.0)
            lacking[kind.group] = np.minimum(lacking.get(kind.group, 0.0), part)
    return {group: np.clip(speaking[group] + lacking[group], FLOOR, GROUP_CAP) for group in GROUPS if group in speaking}


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
