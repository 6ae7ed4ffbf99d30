"""Whether the accounts of a queue have any say in it: neither which of its prompts they send, nor how often.

People differ in both. Who has a collection of prompts has favourites among them, a program that goes through several
does so in its own order, and in any crowd some use a thing many times as often as others. A queue takes whichever
account is next: what an account sends has nothing to do with which account it is. Nothing but this ties a campaign
without links together, so that it has to be shown, and not only not be refuted: all bounds here are those of what is
measured *and* two of its standard errors.

Accounts count that carry any of the wrappers, not only those that were found to be members: these were found by how
often they do. Prompts count from an account's first under a wrapper on, which is left out itself: who began late has
sent as large a share since.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from stream_app.detection.campaigns.links import Population
from stream_app.detection.campaigns.profiles import PROMPTS, TEMPLATES, Flags, Floats, Ints, Profiles

_ERRORS = 2.0
#: Pairs of an account's prompts with the same wrapper, by how many times as many as by chance. Favourites drawn evenly
#: from all mixtures of three wrappers make it 1.5, of more wrappers more. Of pairs that follow each other, prompts in
#: turn make it 0, while a queue that takes its wrappers one after the other makes it more.
LEAST_ALIKE, MOST_ALIKE = 0.75, 1.5
#: Spread of the accounts' shares of wrapped prompts, as a multiple of their mean. That of a lognormal with a sigma of a
#: half, a mild one for how much people use anything, is .53.
MOST_UNEQUAL = 0.5
#: Of a program everything comes under its wrappers: such shares are equal whoever uses it, and say nothing.
MOST_WRAPPED = 0.7
#: Effective number of wrappers: one is a prompt that has become popular.
MIN_WRAPPERS = 2.5
#: So many of those who carry a queue's wrappers are members, nobody else having them: .8 and more in three made-up
#: campaigns without links. Of people who ask alike in this or that way, each way is that of many others as well: .4 in
#: a pool of those.
_MOSTLY_MEMBERS = 0.6
#: Skeletons of one wrapper, its beginning and its end, come together in this part of the rarer one's prompts.
_MOSTLY = 0.3
#: Of fewer accounts both may be even by chance; a verdict on content alone takes as many.
MIN_ACCOUNTS = 50
#: Prompts under so many different wrappers tie an account to a queue: one may have been copied from somewhere.
OWN_WRAPPERS = 2
#: The bound of what nothing is known of.
_ANYTHING = 1_000.0
#: Instead of 0 in a logarithm whose factor is 0.
_LEAST_PART = 1e-12
#: A prompt without a wrapper, and no prompt.
_BARE, _NONE = -1, -2


class Dealing(NamedTuple):
    """How a queue's prompts are divided among its ``accounts``.

    Bounds of how many times as often as by chance two of one account have the same wrapper: ``least_alike`` of two that
    follow each other, ``most_alike`` of any, and ``favoured`` is the lower one of any. ``unequal`` bounds the spread of
    accounts' shares over their mean, ``wrapped``, and ``wrappers`` is their effective number. Of the accounts the share
    ``joined`` are members.
    """

    accounts: int = 0
    least_alike: float = 0.0
    most_alike: float = 0.0
    wrapped: float = 0.0
    unequal: float = 0.0
    wrappers: float = 0.0
    favoured: float = 0.0
    joined: float = 0.0

    @property
    def has_favourites(self) -> bool:
        """Whether accounts are shown to have a say: people have favourites among popular prompts."""
        return self.favoured > MOST_ALIKE

    @property
    def is_varied(self) -> bool:
        """Whether all who carry any of the wrappers carry several; a popular prompt's users have one in common."""
        return self.accounts >= MIN_ACCOUNTS and self.wrappers >= MIN_WRAPPERS

    @property
    def is_own(self) -> bool:
        """Whether the wrappers are the pool's, and not everybody's."""
        return self.joined >= _MOSTLY_MEMBERS

    @property
    def is_even(self) -> bool:
        """Whether accounts are shown to have no say."""
        is_by_chance = self.least_alike >= LEAST_ALIKE and self.most_alike <= MOST_ALIKE
        return self.is_varied and is_by_chance and 0.0 < self.wrapped <= MOST_WRAPPED and self.unequal <= MOST_UNEQUAL


def numbered(population: Population, profiles: Profiles, skeletons: Ints) -> dict[int, int]:
    """Wrappers by number, of each of the skeletons (hashes): those that mostly come together are of one wrapper."""
    rows = population.rows[_carriers(population, skeletons)]
    found = _places(profiles.templates[rows], skeletons).reshape(-1, TEMPLATES)
    prompt, _ = np.nonzero(found >= 0)
    ones = (np.ones(len(prompt)), (prompt, found[found >= 0]))
    carried = sparse.csr_matrix(ones, shape=(len(found), len(skeletons))).minimum(1.0)  # type: ignore[no-untyped-call]
    together = (carried.T @ carried).toarray()
    alone = np.maximum(np.diag(together), 1.0)
    is_one = together >= _MOSTLY * np.minimum(alone[:, np.newaxis], alone)
    numbers = csgraph.connected_components(is_one, directed=False)[1]
    return dict(zip(skeletons.tolist(), numbers.tolist(), strict=True))


def dealing_of(population: Population, profiles: Profiles, wrappers: Mapping[int, int], members: Flags) -> Dealing:
    """Look at all tenants that carry any of the ``wrappers``, which are numbers by skeleton."""
    skeletons, numbers = _arrays(wrappers)
    carriers = _carriers(population, skeletons)
    rows = population.rows[carriers]
    if len(rows) < MIN_ACCOUNTS:
        return Dealing(len(rows))
    place = _places(profiles.templates[rows], skeletons).max(axis=2)
    wrapper = _in_order(np.where(place < 0, _BARE, numbers[place]).astype(np.int32), profiles.prompts[rows])
    least, (favoured, most) = _alike_in_turn(wrapper)[0], _alike(wrapper)
    wrapped, unequal = _unequal(wrapper)
    bounds = (round(least, 2), round(most, 2), round(wrapped, 3), round(unequal, 2))
    joined = round(float(members[carriers].mean()), 2)
    return Dealing(len(rows), *bounds, round(_effective(wrapper), 1), round(favoured, 2), joined)


def numbers_of_wrappers(population: Population, wrappers: Mapping[int, int]) -> Ints:
    """How many different wrappers each tenant has used, by tenant of the population."""
    links, (skeletons, numbers) = population.links["content"], _arrays(wrappers)
    entries = links.entries_of_values(np.flatnonzero(np.isin(links.values, skeletons)))
    number = numbers[np.searchsorted(skeletons, links.values[links.cols[entries]])]
    used = np.unique(np.stack([links.rows[entries], number]), axis=1)[0]
    found: Ints = np.bincount(used, minlength=len(population)).astype(np.int32)
    return found


def _arrays(wrappers: Mapping[int, int]) -> tuple[Ints, Ints]:
    """Skeletons in order, and the numbers of their wrappers."""
    skeletons = np.array(sorted(wrappers), np.int32)
    return skeletons, np.array([wrappers[skeleton] for skeleton in skeletons.tolist()], np.int32)


def _carriers(population: Population, skeletons: Ints) -> Flags:
    links = population.links["content"]
    carriers = np.zeros(len(population), np.bool_)
    carriers[links.rows[links.entries_of_values(np.flatnonzero(np.isin(links.values, skeletons)))]] = True
    return carriers


def _places(templates: Ints, skeletons: Ints) -> Ints:
    """The place of every skeleton among these, which are in order; ``_BARE`` of others."""
    found: Ints = np.where(np.isin(templates, skeletons), np.searchsorted(skeletons, templates), _BARE).astype(np.int32)
    return found


def _in_order(wrapper: Ints, prompts: Ints) -> Ints:
    """Prompts from the oldest kept to the newest; before these of a tenant that has sent fewer, ``_NONE``."""
    back = np.arange(PROMPTS, 0, -1)
    places = (prompts[:, np.newaxis] - back) % PROMPTS
    found: Ints = np.where(back > prompts[:, np.newaxis], _NONE, np.take_along_axis(wrapper, places, axis=1))
    return found


def _alike(wrapper: Ints) -> tuple[float, float]:
    """How many times as often as by chance two prompts of one account have the same wrapper."""
    account, place = np.nonzero(wrapper >= 0)
    counts = np.zeros((len(wrapper), int(wrapper.max()) + 1))
    np.add.at(counts, (account, wrapper[account, place]), 1.0)
    sent = counts.sum(axis=1)
    return _bounds((counts * (counts - 1)).sum(axis=1) / _by_chance(wrapper), sent * (sent - 1))


def _alike_in_turn(wrapper: Ints) -> tuple[float, float]:
    """The same of prompts that follow each other, but for those without a wrapper."""
    account, place = np.nonzero(wrapper >= 0)
    kind = wrapper[account, place]
    follows = account[1:] == account[:-1]
    is_same = follows & (kind[1:] == kind[:-1])
    pairs = np.bincount(account[1:][follows], minlength=len(wrapper)).astype(np.float64)
    same = np.bincount(account[1:][is_same], minlength=len(wrapper)).astype(np.float64)
    return _bounds(same / _by_chance(wrapper), pairs)


def _by_chance(wrapper: Ints) -> float:
    return float((_parts(wrapper) ** 2).sum())


def _effective(wrapper: Ints) -> float:
    part = _parts(wrapper)
    return float(np.exp(-(part * np.log(np.maximum(part, _LEAST_PART))).sum()))


def _parts(wrapper: Ints) -> Floats:
    part: Floats = np.bincount(wrapper[wrapper >= 0]) / np.count_nonzero(wrapper >= 0)
    return part


def _unequal(wrapper: Ints) -> tuple[float, float]:
    """Mean share of wrapped prompts after an account's first, and the most that shares differ, over their mean.

    Of n prompts that are wrapped by chance with probability p, n(n - 1)p² ordered pairs are wrapped both; where p
    differs from account to account, more, by the square of its spread.
    """
    is_wrapped = wrapper >= 0
    after = np.cumsum(is_wrapped, axis=1) - is_wrapped > 0
    sent, wrapped = (
        (after & (wrapper != _NONE)).sum(axis=1).astype(float),
        (after & is_wrapped).sum(axis=1).astype(float),
    )
    share = float(wrapped.sum() / max(sent.sum(), 1.0))
    if not share:
        return 0.0, _ANYTHING
    _, most = _bounds(wrapped * (wrapped - 1) / share**2, sent * (sent - 1))
    return share, float(np.sqrt(max(most - 1.0, 0.0)))


def _bounds(found: Floats, expected: Floats) -> tuple[float, float]:
    """The ratio of two sums over accounts, less and plus two standard errors, with accounts as what is drawn."""
    if not expected.any():
        return 0.0, _ANYTHING
    ratio = float(found.sum() / expected.sum())
    error = float(np.sqrt(((found - ratio * expected) ** 2).sum()) / expected.sum())
    return ratio - _ERRORS * error, ratio + _ERRORS * error
