"""How many times likelier values are inside a pool than outside, leave-one-out, and what weighing tenants takes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.links import Incidence
from stream_app.detection.campaigns.profiles import Floats

#: Jeffreys' half: a value that no outsider was seen with may still have one.
UNSEEN = 0.5
#: Who pays, and with which device, is one hand's choice: that a stranger has a card of the pool is one chance and not
#: one for every card. Values of so many others in the pool share that half; two alone may be a family.
_POOLED_FROM = 1.5
#: A pool of a handful proves little about its shares: as if one more member carried nothing shared.
_DOUBT = 1.0
#: Standard deviations by which members must outnumber chance: of a thousand values one does without reason.
_CLEARLY = 3.0
#: A value is a pool's own when its members carry it so many times as often as others.
OWN_RATIO = 5.0
Numbers = NDArray[np.number]


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
    unseen = unseen_of(inside, inside[cols] - own, is_origin=is_origin)
    values = ratio_of(links, within, links.degree[cols], inside[cols], own, own * links.carried[rows], unseen)
    return Ratios(entries, values)


def excesses(links: Incidence, share: Floats) -> Floats:
    """Likelihood ratios by column of a kind with many values, of what is beyond chance, to tenants outside the pool."""
    members = np.flatnonzero(share)
    mine = links.entries_of_tenants(members)
    inside = np.bincount(links.cols[mine], weights=share[links.rows[mine]], minlength=len(links.degree))
    return excess_of(links, dot(share[members], links.carried[members]), links.degree, inside, 0.0, 0.0)


def unseen_of(inside: Numbers, others: Numbers, *, is_origin: bool) -> Floats | float:
    """Outsiders to be expected with values that none was seen with: of all values ``inside``, by ``others`` there."""
    if not is_origin:
        return UNSEEN
    pooled = max(int(np.count_nonzero(inside >= _POOLED_FROM)), 1)
    return np.where(others >= _POOLED_FROM, UNSEEN / pooled, UNSEEN)


def ratio_of(  # noqa: PLR0917
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


def excess_of(  # noqa: PLR0917
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


def dot(weights: Floats, values: Numbers) -> float:
    """The sum of weighted values; BLAS would add in as many parts as there are idle cores, and spin to find out."""
    return float(np.einsum("i,i", weights, values))
