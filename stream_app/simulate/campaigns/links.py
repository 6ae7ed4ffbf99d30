"""What a campaign's accounts have in common because one operator runs them: cards, sign-ups, networks, clients."""

import numpy as np
from msgspec import Struct

from stream_app.simulate.campaigns.accounts import (
    DAY_MS,
    HOUR_MS,
    MAX_NETWORKS,
    Accounts,
    Bools,
    Floats,
    Ints,
    Setting,
)
from stream_app.simulate.campaigns.attributes import drawn, networks_of

LINKS = ("payment", "signup", "burst", "network", "client")

#: Share of the accounts that carry each link, by regime.
REGIMES = {"all": 1.0, "half": 0.5, "hard": 0.0}

#: A client this rare is used by few of a hundred thousand tenants.
RARE_WEIGHT = 5e-5


class Change(Struct, frozen=True):
    """From that time on, these rows have these values in the column."""

    time_ms: float
    column: str
    rows: Ints
    values: Ints


class Habits(Struct, frozen=True):
    """How one operator shares things; drawn per campaign, so that no two seeds share a recipe."""

    accounts_per_card: float
    accounts_per_signup: float
    accounts_per_network: float
    clients: list[int]
    bursts: int
    burst_h: float
    spread_days: float
    common_client: int
    common_client_share: float


def drawn_habits(setting: Setting, rng: np.random.Generator) -> Habits:
    """From frugal to wasteful operators."""
    weights = setting.clients.weights
    rare = np.flatnonzero(weights < RARE_WEIGHT)
    return Habits(
        accounts_per_card=float(np.exp(rng.uniform(np.log(6), np.log(80)))),
        accounts_per_signup=float(np.exp(rng.uniform(np.log(15), np.log(400)))),
        accounts_per_network=float(np.exp(rng.uniform(np.log(4), np.log(60)))),
        clients=rng.choice(rare, size=int(rng.integers(1, 4)), replace=False).tolist(),
        bursts=int(rng.integers(1, 9)),
        burst_h=float(np.exp(rng.uniform(np.log(0.5), np.log(5)))),
        spread_days=float(rng.uniform(40, 120)),
        common_client=int(rng.choice(np.argsort(weights)[-12:])),
        common_client_share=float(rng.uniform(0.05, 0.25)),
    )


def carried_links(regime: str, without: tuple[str, ...], count: int, rng: np.random.Generator) -> dict[str, Bools]:
    """Which accounts carry which link."""
    return {link: rng.random(count) < (0.0 if link in without else REGIMES[regime]) for link in LINKS}


def link_accounts(
    accounts: Accounts,
    *,
    carried: dict[str, Bools],
    habits: Habits,
    starts_ms: float,
    rng: np.random.Generator,
) -> None:
    """Overwrite ordinary values with shared ones where a link is carried; signups lie before ``starts_ms``."""
    count = len(accounts)
    is_common = rng.random(count) < habits.common_client_share
    accounts.client[is_common] = habits.common_client
    accounts.created_ms = starts_ms - 0.3 * DAY_MS - rng.random(count) * habits.spread_days * DAY_MS
    chosen = np.flatnonzero(carried["burst"])
    accounts.created_ms[chosen] = _burst_times(habits, starts_ms, len(chosen), rng)
    accounts.begin_ms = accounts.created_ms + rng.exponential(2 * HOUR_MS, count)
    chosen = np.flatnonzero(carried["payment"])
    accounts.payment[chosen] = linked_cards(len(chosen), habits, rng)
    accounts.payment_bin[chosen] = drawn(rng, "payment_bin", 1)[0]
    accounts.plan[chosen] = np.maximum(accounts.plan[chosen], 1)
    chosen = np.flatnonzero(carried["signup"])
    accounts.signup[chosen] = _shared(len(chosen), habits.accounts_per_signup, rng)
    chosen = np.flatnonzero(carried["client"])
    accounts.client[chosen] = rng.choice(habits.clients, size=len(chosen))
    chosen = np.flatnonzero(carried["network"])
    accounts.networks[chosen] = pooled_networks(len(chosen), habits.accounts_per_network, rng)
    accounts.network_count[chosen] = rng.integers(2, MAX_NETWORKS + 1, size=len(chosen))


def linked_cards(count: int, habits: Habits, rng: np.random.Generator) -> Ints:
    """Cards that the operator spreads over so many accounts."""
    return _shared(count, habits.accounts_per_card, rng)


def pooled_networks(count: int, accounts_per_network: float, rng: np.random.Generator) -> Ints:
    """Each account's networks, from one pool."""
    size = max(6, round(MAX_NETWORKS * count / accounts_per_network))
    pool = networks_of(rng, size)
    return rng.choice(pool, size=(count, MAX_NETWORKS))


def _burst_times(habits: Habits, starts_ms: float, count: int, rng: np.random.Generator) -> Floats:
    centres = starts_ms - DAY_MS * rng.uniform(0.4, 12.0, habits.bursts)
    width_ms = habits.burst_h * HOUR_MS
    weights = rng.dirichlet(np.full(habits.bursts, 2.0))
    times: Floats = rng.choice(centres, size=count, p=weights) + rng.uniform(-width_ms, width_ms, count) / 2
    return times


def _shared(count: int, per_value: float, rng: np.random.Generator) -> Ints:
    """Values that ``per_value`` accounts share on average, some more and some fewer."""
    if not count:
        return np.zeros(0, dtype=np.int64)
    values = rng.integers(1, 1 << 48, size=max(1, round(count / per_value)))
    weights = rng.dirichlet(np.full(len(values), 4.0))
    return rng.choice(values, size=count, p=weights)
