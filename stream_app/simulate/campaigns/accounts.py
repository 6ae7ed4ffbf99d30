"""The accounts of a stream as columns, one row each, and how ordinary ones are drawn."""

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_app.simulate.campaigns.attributes import (
    COUNTRIES,
    ENGLISH_SHARE,
    Clients,
    drawn,
    network_country,
    networks_near,
    networks_of,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000

#: An account's networks: home, work, phone, one more.
MAX_NETWORKS = 4

#: Requests a day: lognormal, median 5, mean 13: most send a few, a few thousand send hundreds.
RATE_MEDIAN = 5.0
RATE_SIGMA = 1.4
MAX_RATE = 2_000.0

#: Age of accounts at the end of the stream: exponential, as on a service that doubles in ten weeks.
MEAN_AGE_DAYS = 100.0

#: Parts of an event that a tenant's gateway reports, or not at all; and what each lacks by chance per account.
PARTS = ("client", "ja4", "account", "payment", "signup", "prompt", "shape", "session", "language")
PART_SHARES = (0.92, 0.85, 0.93, 0.9, 0.85, 0.88, 0.9, 0.8, 0.6)
PART = {name: 1 << place for place, name in enumerate(PARTS)}

#: Where prompts come from when no group says otherwise (see ``prompts``).
PEOPLE, APPLICATION = 0, 1

#: Different wrappers that honest programs use; the most popular ones come from tutorials and are shared by many.
APPLICATIONS = 30_000
APPLICATION_EXPONENT = 0.6

NEVER_MS = float("inf")


@dataclass
class Accounts:
    """One row per account. Times are event time in milliseconds, rates in requests per day.

    Numbers stand for values (payment 0: none) and become text when an event is written. ``reports`` has a bit per part
    that the account's events carry. ``freshness`` is the share of its prompts that it has not sent before.
    """

    tenant: Ints
    rate: Floats
    session_size: Floats
    rhythm: Ints
    shift_h: Ints
    created_ms: Floats
    begin_ms: Floats
    until_ms: Floats
    payment: Ints
    payment_bin: Ints
    signup: Ints
    plan: Ints
    country: Ints
    language: Ints
    client: Ints
    networks: Ints
    network_count: Ints
    max_tokens: Ints
    temperature: Ints
    stream_share: Floats
    endpoint: Ints
    tools: Ints
    model: Ints
    adopts_ms: Floats
    adopts_share: Floats
    input_median: Floats
    output_median: Floats
    error_share: Floats
    reports: Ints
    freshness: Floats
    source: Ints
    wrapper: Ints
    campaign: Ints
    family: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rate)


def joined(tables: list[Accounts]) -> Accounts:
    """All rows below each other; tenants of different tables stay apart."""
    offset = 0
    for table in tables:
        table.tenant = table.tenant + offset
        offset = int(table.tenant.max()) + 1 if len(table) else offset
    columns = {
        column.name: np.concatenate([getattr(table, column.name) for table in tables])
        for column in fields(Accounts)
        if column.name != "family"
    }
    return Accounts(**columns, family=[name for table in tables for name in table.family])


@dataclass(frozen=True)
class Setting:
    """What all groups of one stream share: its span, the published data, and how much goes missing."""

    begin_ms: float
    end_ms: float
    folder: Path
    clients: Clients
    rhythms: int
    missing: float = 0.0

    @property
    def span_ms(self) -> float:
        return self.end_ms - self.begin_ms


def ordinary_accounts(setting: Setting, count: int, rng: np.random.Generator, family: str = "ordinary") -> Accounts:
    """Accounts that have nothing to do with each other, each alone in its tenant."""
    rate = np.minimum(rng.lognormal(np.log(RATE_MEDIAN), RATE_SIGMA, count), MAX_RATE)
    created = created_at(setting, count, rng)
    networks = home_networks(rng, networks_of(rng, count))
    country = np.array(
        [COUNTRIES.index(network_country(network)) for network in networks[:, 0].tolist()], dtype=np.int64
    )
    plan = drawn(rng, "plan", count)
    language = np.where(rng.random(count) < ENGLISH_SHARE, COUNTRIES.index("US"), country)
    source = np.where(rng.random(count) < program_share(rate), APPLICATION, PEOPLE)
    return Accounts(
        tenant=np.arange(count),
        rate=rate,
        session_size=1 + rng.exponential(3.0, count),
        rhythm=rng.integers(setting.rhythms, size=count),
        shift_h=rng.integers(0, 336, size=count),
        created_ms=created,
        begin_ms=created + 60_000 + rng.exponential(HOUR_MS, count),
        until_ms=np.full(count, NEVER_MS),
        payment=np.where(plan > 0, rng.integers(1, 1 << 48, size=count), 0),
        payment_bin=drawn(rng, "payment_bin", count),
        signup=rng.integers(1, 1 << 48, size=count),
        plan=plan,
        country=country,
        language=language,
        client=setting.clients.drawn(rng, count),
        networks=networks,
        network_count=1 + rng.binomial(MAX_NETWORKS - 1, 0.3, count),
        max_tokens=np.stack([drawn(rng, "max_tokens", count) for _ in range(2)], axis=1),
        temperature=np.stack([drawn(rng, "temperature", count) for _ in range(2)], axis=1),
        stream_share=rng.beta(0.4, 0.5, count),
        endpoint=drawn(rng, "endpoint", count),
        tools=np.where(rng.random(count) < 0.2, rng.geometric(0.25, count), 0),
        model=np.stack([drawn(rng, "model", count) for _ in range(2)], axis=1),
        adopts_ms=np.full(count, NEVER_MS),
        adopts_share=np.zeros(count),
        input_median=rng.lognormal(np.log(350), 0.9, count),
        output_median=rng.lognormal(np.log(220), 0.7, count),
        error_share=np.minimum(0.3, 0.015 * rng.lognormal(0.0, 0.9, count)),
        reports=reported_parts(setting.missing, count, rng),
        freshness=np.minimum(rng.beta(1.5, 1.5, count), 40.0 / rate),
        source=source,
        wrapper=application_numbers(rng, count),
        campaign=np.full(count, -1),
        family=[family] * count,
    )


def home_networks(rng: np.random.Generator, homes: Ints) -> Ints:
    """The networks of each account: its home, and others of the same country."""
    return np.stack([homes, *(networks_near(rng, homes) for _ in range(MAX_NETWORKS - 1))], axis=1)


def program_share(rate: Floats) -> Floats:
    """Who sends more is more often a program: a third of the light ones, nearly all of the heavy ones."""
    share: Floats = np.clip(0.3 + 0.13 * np.log(np.maximum(rate, 1.0) / RATE_MEDIAN), 0.15, 0.95)
    return share


def application_numbers(rng: np.random.Generator, count: int) -> Ints:
    """Wrappers by popularity: rank r is used in proportion to r ** -0.6."""
    exponent = 1 / (1 - APPLICATION_EXPONENT)
    numbers: Ints = (APPLICATIONS * rng.random(count) ** exponent).astype(np.int64)
    return numbers


def created_at(setting: Setting, count: int, rng: np.random.Generator) -> Floats:
    """Creation times of a growing service, by day more than by night, until the end of the stream."""
    created = setting.end_ms - rng.exponential(MEAN_AGE_DAYS * DAY_MS, count)
    hours = (created / HOUR_MS) % 24
    is_moved = rng.random(count) > 0.6 + 0.4 * np.cos(2 * np.pi * (hours - 15) / 24)
    moved = np.floor(created / DAY_MS) * DAY_MS + rng.normal(15, 4, count) % 24 * HOUR_MS
    chosen: Floats = np.minimum(np.where(is_moved, moved, created), setting.end_ms - MINUTE_MS)
    return chosen


def reported_parts(missing: float, count: int, rng: np.random.Generator) -> Ints:
    """One bit per part; ``missing`` is a further share of accounts that lack it."""
    bits = np.zeros(count, dtype=np.int64)
    for part, share in zip(PARTS, PART_SHARES, strict=True):
        bits |= np.where(rng.random(count) < share * (1 - missing), PART[part], 0)
    return bits
