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

#: Jeffreys' half: a value that no outsider was seen with may still have one.
UNSEEN = 0.5
#: Who pays, and with which device, is one hand's choice: that a stranger has a card of the pool is one chance and not
#: one for every card. Values of so many others in the pool share that half; two alone may be a family.
_POOLED_FROM = 1.5
#: A pool of a handful proves little about its shares: as if one more member carried nothing shared.
_DOUBT = 1.0
#: Fitted weights stay off the ends, where they could never move again; a pool has strangers in it and strays.
_LEAST, _MOST = 0.02, 0.995
#: And that of taking no part stays where a few rounds bring it back: extraction begins long after the accounts do.
_MOST_WITHOUT = 0.9
#: Standard deviations by which members must outnumber chance: of a thousand values one does without reason.
_CLEARLY = 3.0
_MAX_EXPONENT = 30.0
#: A value is a pool's own when its members carry it so many times as often as others.
OWN_RATIO = 5.0
#: Times chance, beyond its spread, that members carry a value that is the pool's own: a wrapper of half a dozen members
#: at least, and of nobody else. What is carried a little more often than by chance adds up in whoever asks much.
_OWN = 10.0
Numbers = NDArray[np.number]


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


def ratios(links: Incidence, share: Floats, *, is_origin: bool = False) -> Ratios:
    """Likelihood ratios, when ``share`` (0..1, by tenant) says how far each belongs to the pool.

    Shares are of all values carried, not of carriers: who asks much carries more of everything. Only entries of values
    that somebody in the pool carries are looked at, so that the cost is that of the pool and not of everybody.
    """
    members = np.flatnonzero(share)
    mine = links.entries_of_tenants(members)
    inside = np.bincount(links.cols[mine], weights=share[links.rows[mine]], minlength=len(links.degree))
    entries = links.entries_of_values(np.flatnonzero(inside))
    rows, cols = links.rows[entries], links.cols[entries]
    own, within = share[rows], dot(share[members], links.carried[members])
    unseen = _unseen(inside, inside[cols] - own, is_origin=is_origin)
    values = _ratio(links, within, links.degree[cols], inside[cols], own, own * links.carried[rows], unseen)
    return Ratios(entries, values)


def excesses(links: Incidence, share: Floats) -> Floats:
    """Likelihood ratios by column of a kind with many values, of what is beyond chance, to tenants outside the pool."""
    members = np.flatnonzero(share)
    mine = links.entries_of_tenants(members)
    inside = np.bincount(links.cols[mine], weights=share[links.rows[mine]], minlength=len(links.degree))
    return _excess(links, dot(share[members], links.carried[members]), links.degree, inside, 0.0, 0.0)


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

    def mixed(degree: Floats, inside: Numbers, own: Floats | float, own_part: Floats | float) -> Floats:
        if kind.has_many:
            return weights.outside + _excess(links, within, degree, inside, own, own_part, least_chance)
        unseen = _unseen(every, inside - own, is_origin=kind.is_origin)
        ratio = _ratio(links, within, degree, inside, own, own_part, unseen)
        return weights.outside + (1.0 - weights.outside) * ratio

    # Methods of arrays instead of numpy's functions, and flags instead of floats to look for what is not 0: this is
    # called for every kind of link in every round of every pool.
    log_outside = np.log(weights.outside)
    members = (share != 0).nonzero()[0]
    mine = links.entries_of_tenants(members)
    cols, own = links.cols[mine], share[links.rows[mine]]
    inside = every = np.bincount(cols, weights=own, minlength=len(links.degree))
    within = dot(share[members], links.carried[members])
    common = (inside != 0).nonzero()[0]
    gains = np.zeros(len(links.degree))
    gains[common] = np.log(mixed(links.degree[common], inside[common], 0.0, 0.0)) - log_outside
    logs = links.matrix @ gains + links.carried * log_outside
    times = mixed(links.degree[cols], inside[cols], own, own * links.carried[links.rows[mine]])
    whose = np.arange(len(members)).repeat(links.shared[members])
    logs[members] = np.bincount(whose, weights=np.log(times), minlength=len(members))
    logs[members] += (links.carried[members] - links.shared[members]) * log_outside
    if kind.has_many and is_held:
        entries = links.entries_of_values(np.flatnonzero(gains >= np.log(_OWN)))
        own_logs = np.bincount(links.rows[entries], weights=gains[links.cols[entries]], minlength=len(logs))
        own_logs = own_logs.astype(np.float64)  # of no entries at all numpy counts in integers
        own_gains = np.where(times >= _OWN, np.log(times) - log_outside, 0.0)
        own_logs[members] = np.bincount(whose, weights=own_gains, minlength=len(members))
        chances = links.carried * (share[members].sum() / max(within, 1.0))
        logs = np.where(own_logs > 0, np.maximum(logs, own_logs - np.log(np.maximum(chances, 1.0))), logs)
    taking_part = (1.0 - weights.without) * np.exp(logs.clip(-_MAX_EXPONENT, _MAX_EXPONENT))
    nats = np.log(weights.without + taking_part)
    nats[links.lacking] = 0.0
    shared = np.bincount(whose, weights=1.0 - weights.outside / times, minlength=len(members))
    having = (share if trusted is None else trusted)[members] * links.has[members]
    part = having * taking_part[members] / (weights.without + taking_part[members])
    fitted = Weights(
        outside=_between(1.0 - _share_of(dot(part, shared), dot(part, links.carried[members]))),
        without=min(_between(1.0 - _share_of(float(part.sum()), float(having.sum()))), _MOST_WITHOUT),
    )
    return Fit(nats.clip(FLOOR, kind.cap), fitted)


def _unseen(inside: Numbers, others: Numbers, *, is_origin: bool) -> Floats | float:
    """Outsiders to be expected with values that none was seen with: of all values ``inside``, by ``others`` there."""
    if not is_origin:
        return UNSEEN
    pooled = max(int(np.count_nonzero(inside >= _POOLED_FROM)), 1)
    return np.where(others >= _POOLED_FROM, UNSEEN / pooled, UNSEEN)


def _ratio(  # noqa: PLR0917
    links: Incidence,
    within: float,
    degree: Floats,
    inside: Numbers,
    own: Floats | float,
    own_part: Floats | float,
    unseen: Floats | float,
) -> Floats:
    """Ratios of values by their carriers and those inside, to a tenant that is ``own`` of the pool itself."""
    held = np.maximum(inside - own, 0.0) / (np.maximum(within - own_part, 0.0) + _DOUBT)
    ratio: Floats = held / _usual(links, within, degree, inside, own, unseen)
    return ratio


def _excess(  # noqa: PLR0917
    links: Incidence,
    within: float,
    degree: Floats,
    inside: Numbers,
    own: Floats | float,
    own_part: Floats | float,
    least_chance: float = UNSEEN,
) -> Floats:
    """How many times more members carry values than chance, beyond its own spread, would have."""
    expected = _usual(links, within, degree, inside, own) * np.maximum(within - own_part, 0.0)
    beyond = np.maximum(inside - own, 0.0) - expected - _CLEARLY * np.sqrt(expected)
    ratio: Floats = np.maximum(beyond, 0.0) / (expected + least_chance)
    return ratio


def _usual(  # noqa: PLR0917
    links: Incidence,
    within: float,
    degree: Floats,
    inside: Numbers,
    own: Floats | float,
    unseen: Floats | float = UNSEEN,
) -> Floats:
    """The share that values have of all that outsiders carry."""
    outsiders = np.maximum(degree - inside - (1.0 - own), 0.0)
    usual: Floats = (outsiders + unseen) / (max(links.carried_in_all - within, 0.0) + 2 * UNSEEN)
    return usual


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


def dot(weights: Floats, values: Numbers) -> float:
    """The sum of weighted values; BLAS would add in as many parts as there are idle cores, and spin to find out."""
    return float(np.einsum("i,i", weights, values))


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
