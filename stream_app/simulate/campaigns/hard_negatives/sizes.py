"""How many of a group there are, and how large: natural sizes, cut down where the whole population is small."""

import numpy as np

from stream_app.simulate.campaigns.accounts import Accounts, Ints, ordinary_accounts
from stream_app.simulate.campaigns.drafts import Draft

PER = 10_000

#: A group is at most this share of the population, so that small streams are not made of hard negatives alone.
MAX_SHARE = 0.02
MIN_SIZE = 6


def instances(draft: Draft, per_ten_thousand: float) -> int:
    """So many per ten thousand tenants, at least one."""
    return max(1, round(per_ten_thousand * len(draft.population) / PER))


def drawn_size(draft: Draft, smallest: int, largest: int) -> int:
    """Between the two on a logarithmic scale."""
    natural = float(np.exp(draft.rng.uniform(np.log(smallest), np.log(largest))))
    return max(MIN_SIZE, round(min(natural, MAX_SHARE * len(draft.population))))


def newcomers(draft: Draft, family: str, count: int) -> Accounts:
    """Ordinary accounts for a group to change."""
    return ordinary_accounts(draft.setting, count, draft.rng, family=family)


def some_of(draft: Draft, family: str, share: float) -> Ints:
    """Rows of so many ordinary tenants of the population, now of this family."""
    free = np.flatnonzero([name == "ordinary" for name in draft.population.family])
    count = min(len(free), max(MIN_SIZE, round(share * len(draft.population))))
    rows: Ints = np.sort(draft.rng.choice(free, size=count, replace=False))
    for row in rows.tolist():
        draft.population.family[row] = family
    return rows


def within(draft: Draft, earliest: float, latest: float) -> float:
    """A moment of the stream, between two shares of its span."""
    return draft.setting.begin_ms + float(draft.rng.uniform(earliest, latest)) * draft.setting.span_ms


def one_value(draft: Draft) -> int:
    """A payment or signup fingerprint nobody else has."""
    return int(draft.rng.integers(1, 1 << 48))


def rare_client(draft: Draft) -> int:
    """A client program that hardly anybody uses."""
    return int(draft.rng.choice(np.argsort(draft.setting.clients.weights)[: len(draft.setting.clients.weights) // 2]))
