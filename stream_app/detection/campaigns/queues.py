"""Whether a pool's content comes from a work queue: many wrappers over different material, dealt out as if by chance.

People who share prompts have favourites, or send the same prompt. Items of a queue go to whichever account is next: two
wrapped prompts of one account are no more alike than two of different accounts that were sent at the same times. The
times matter: a queue may take one wrapper after the other.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.links import Population
from stream_app.detection.campaigns.profiles import PROMPTS, Floats, Ints, Profiles
from stream_app.detection.campaigns.ratios import OWN_RATIO, ratios

#: A template is the pool's own only when enough members carry it: what two or three repeat is their own habit.
_LEAST_MEMBERS, _LEAST_SHARE = 5, 0.02
#: Every wrapper of a queue goes to many of its accounts, a twentieth: what fewer of the members carry is a coincidence
#: of material, and strangers carry it, too.
LEAST_DEALT = 0.05
#: Of wrapped prompts as many at least come under such wrappers. A crowd whose questions are alike in this or that way
#: has a hundred skeletons of its own, each that of a few; in its pools it was .2 to .6, in those of queues nearly all
#: (.97 and more; .84 in one of two wrappers, at first).
_MOSTLY_DEALT = 0.8
#: Effective number of wrappers below which a pool is the users of one program or prompt.
MIN_WRAPPERS = 2.5
#: And below which they have one prompt.
_ONE_PROMPT = 1.5
#: How much more alike an account's own wrapped prompts may be than those of different accounts. Of a chain of schools
#: it was 1.8 to 2.0, of people who work through tickets 1.0 to 1.5, of queues 1.0 to 1.2, also of those whose wrappers
#: follow each other (1.7 if times are not looked at).
MAX_EXCESS = 1.6
#: Pairs of prompts within accounts that it takes to tell.
MIN_PAIRS = 40.0
#: Prompts that are taken for sent at the same time, about, so that others' among them tell shares of wrappers; and such
#: times at most, which bounds their table to so many numbers a wrapper.
_SAME_TIME, _MOST_TIMES = 30, 500
#: Where no other account has any of an account's wrappers.
_LEAST_CHANCE = 1e-3

Places = NDArray[np.int64]


class Queue(NamedTuple):
    """What the wrapped prompts of a pool look like.

    ``wrappers`` is their effective number, ``excess`` how much more alike those of one account are than those of
    several at the same times, ``pairs`` how many pairs within accounts that rests on, ``shared_bodies`` the share of
    prompts that other tenants sent too, and ``dealt`` that of prompts whose wrapper many members carry. ``bodies`` is
    the effective number of different prompts.
    """

    wrappers: float = 0.0
    excess: float = 0.0
    pairs: float = 0.0
    shared_bodies: float = 0.0
    dealt: float = 0.0
    bodies: float = 0.0

    @property
    def is_dealt(self) -> bool:
        """Whether it looks like a queue."""
        is_by_chance = self.pairs >= MIN_PAIRS and self.excess <= MAX_EXCESS
        return is_by_chance and self.wrappers >= MIN_WRAPPERS and self.dealt >= _MOSTLY_DEALT

    @property
    def is_chosen(self) -> bool:
        """Whether it looks like what people do who choose, or have one thing to ask."""
        return self.pairs >= MIN_PAIRS and (self.excess > MAX_EXCESS or self.wrappers < _ONE_PROMPT)


def skeletons_of(population: Population, pool: Pool, least_share: float = _LEAST_SHARE) -> Ints:
    """Skeletons (hashes) that are the pool's own, each carried by at least so large a share of its members."""
    links = population.links["content"]
    likely = pool.share > 0.5
    inside = np.bincount(links.cols, weights=likely[links.rows], minlength=len(links.degree))
    is_common = inside >= max(_LEAST_MEMBERS, least_share * np.count_nonzero(likely))
    entries, ratio = ratios(links, pool.share)
    cols = links.cols[entries]
    is_own = (ratio > OWN_RATIO) & likely[links.rows[entries]] & is_common[cols]
    found: Ints = np.unique(links.values[cols[is_own]]).astype(np.int32)
    return found


def queue_of(population: Population, profiles: Profiles, pool: Pool, own: Ints) -> Queue:
    """Look at the members' prompts under wrappers that are the pool's ``own``."""
    members = population.rows[pool.share > 0.5]
    if not len(own) or not len(members):
        return Queue()
    templates = profiles.templates[members]
    wrapped = np.isin(templates, own)
    owner, slot = np.nonzero(wrapped.any(axis=2))
    first = wrapped[owner, slot].argmax(axis=1)
    wrapper = np.unique(templates[owner, slot, first], return_inverse=True)[1]
    excess, pairs = _excess(owner, wrapper, profiles.sent[members][owner, slot])
    part = np.bincount(wrapper) / len(wrapper)
    carriers = np.bincount(np.unique(np.stack([owner, wrapper]), axis=1)[1])
    return Queue(
        wrappers=round(float(np.exp(-(part * np.log(part)).sum())), 1),
        excess=round(excess, 2),
        pairs=pairs,
        shared_bodies=round(_shared(owner, profiles.simhashes[members][owner, slot]), 3),
        dealt=round(float(part[carriers >= LEAST_DEALT * len(members)].sum()), 2),
        bodies=round(_different(profiles.simhashes[members][owner, slot]), 1),
    )


def _excess(owner: Places, wrapper: Places, sent: NDArray[np.uint16]) -> tuple[float, float]:
    """How much more often two prompts of one account have the same wrapper than if one were another's; and pairs.

    The other's prompt is one of the same time. Every account counts once.
    """
    others = _Others(owner, wrapper, sent)
    accounts = int(owner[-1]) + 1
    same, expected, pairs = np.zeros(accounts), np.zeros(accounts), np.zeros(accounts)
    for apart in range(1, PROMPTS):
        first = np.flatnonzero(owner[apart:] == owner[:-apart])
        second = first + apart
        who = owner[first]
        same += np.bincount(who, weights=wrapper[first] == wrapper[second], minlength=accounts)
        alike = (others.like(first, second) + others.like(second, first)) / 2
        expected += np.bincount(who, weights=alike, minlength=accounts)
        pairs += np.bincount(who, minlength=accounts)
    many = pairs > 0
    by_chance = float((expected[many] / pairs[many]).sum())
    return float((same[many] / pairs[many]).sum()) / max(by_chance, _LEAST_CHANCE), float(pairs.sum())


class _Others:
    """What wrappers other accounts' prompts have that were sent at the time of one."""

    def __init__(self, owner: Places, wrapper: Places, sent: NDArray[np.uint16]) -> None:
        count, self._wrapper, self._wrappers = len(owner), wrapper, int(wrapper.max()) + 1
        times = min(max(count // _SAME_TIME, 1), _MOST_TIMES)
        self._time = np.searchsorted(np.sort(sent), sent).astype(np.int64) * times // count
        self._all = np.bincount(self._time * self._wrappers + wrapper, minlength=times * self._wrappers)
        self._place = owner * times + self._time
        self._own, self._owns = np.unique(self._place * self._wrappers + wrapper, return_counts=True)
        _, place, together = np.unique(self._place, return_inverse=True, return_counts=True)
        self._others = np.bincount(self._time, minlength=times)[self._time] - together[place]

    def like(self, first: Places, second: Places) -> Floats:
        """Share of others' prompts, of the time of the ``first`` ones, that have the wrapper of the ``second``."""
        there = self._all[self._time[first] * self._wrappers + self._wrapper[second]]
        key = self._place[first] * self._wrappers + self._wrapper[second]
        found = np.minimum(np.searchsorted(self._own, key), len(self._own) - 1)
        own = np.where(self._own[found] == key, self._owns[found], 0)
        share: Floats = (there - own) / np.maximum(self._others[first], 1)
        return share


def _shared(owner: NDArray[np.intp], bodies: NDArray[np.uint64]) -> float:
    """Share of prompts that another member sent to the letter."""
    owner, bodies = owner[bodies != 0], bodies[bodies != 0]
    if not len(bodies):
        return 0.0
    pairs = np.unique(np.stack([bodies, owner.astype(np.uint64)]), axis=1)
    _, inverse, carriers = np.unique(pairs[0], return_inverse=True, return_counts=True)
    return float((carriers[inverse] > 1).mean())


def _different(bodies: NDArray[np.uint64]) -> float:
    """Effective number of different prompts."""
    counts = np.unique(bodies[bodies != 0], return_counts=True)[1]
    part = counts / max(int(counts.sum()), 1)
    return float(np.exp(-(part * np.log(part)).sum()))
