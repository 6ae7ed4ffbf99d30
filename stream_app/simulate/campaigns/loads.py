"""How a campaign spreads its extraction requests over its accounts and over time."""

from typing import Protocol

import numpy as np

from stream_app.simulate.campaigns.accounts import HOUR_MS, Accounts, Floats, Ints


class Load(Protocol):
    """``own_share`` of the accounts' rates stays their own; ``ridden_share`` of own requests extract instead."""

    own_share: float
    ridden_share: float

    def requests(self, hour_ms: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """Rows within the campaign, and times, of this hour's extraction requests beside the own ones."""
        ...


class Natural:
    """Extraction rides on the accounts' own sessions, whenever those happen: no trace in timing."""

    own_share = 1.0

    def __init__(self, mix: float) -> None:
        self.ridden_share = mix

    def requests(self, hour_ms: float, rng: np.random.Generator) -> tuple[Ints, Floats]:  # noqa: ARG002
        return np.zeros(0, dtype=np.int64), np.zeros(0)


class Dispatched:
    """A scheduler hands out the work: an hourly total, split over the accounts by weight.

    ``round_robin``: all alike, each in turn. ``heavy_tailed``: lognormal weights. ``paused``: hours of work and hours
    of silence. ``human_hours``: the operator's working day.
    """

    ridden_share = 0.0

    def __init__(self, kind: str, accounts: Accounts, joins_ms: Floats, mix: float, rng: np.random.Generator) -> None:
        self.own_share = 1 - mix
        self._kind = kind
        self._joins_ms = joins_ms
        self._until_ms = accounts.until_ms
        count = len(accounts)
        self._per_hour = mix * float(accounts.rate.mean()) / 24
        self._weights = rng.lognormal(0.0, 1.6, count) if kind == "heavy_tailed" else np.ones(count)
        self._weights /= self._weights.mean()
        self._credit = rng.random(count)
        self._zone_h = int(rng.integers(24))
        self._pause = (float(rng.uniform(3, 14)), float(rng.uniform(4, 20)))

    def requests(self, hour_ms: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
        is_on = (self._joins_ms < hour_ms + HOUR_MS) & (self._until_ms > hour_ms)
        expected = self._per_hour * self._weights * is_on * self._intensity(hour_ms)
        if self._kind == "round_robin":
            self._credit += expected
            counts = self._credit.astype(np.int64)
            self._credit -= counts
        else:
            counts = rng.poisson(expected)
        who = np.repeat(np.arange(len(counts)), counts)
        times = hour_ms + rng.random(len(who)) * HOUR_MS
        is_joined = times >= self._joins_ms[who]
        return who[is_joined], times[is_joined]

    def _intensity(self, hour_ms: float) -> float:
        """Relative load of the hour; averages 1."""
        hour = hour_ms / HOUR_MS
        if self._kind == "paused":
            work_h, rest_h = self._pause
            return (work_h + rest_h) / work_h if hour % (work_h + rest_h) < work_h else 0.0
        if self._kind == "human_hours":
            local, day = (hour + self._zone_h) % 24, (hour + self._zone_h) // 24 % 7
            return (24 * 7) / (10 * 5.5) if 9 <= local < 19 and (day < 5 or (day == 5 and local < 14)) else 0.0
        return 1.0


LOADS = ("natural", "round_robin", "heavy_tailed", "paused", "human_hours")


def load_of(kind: str, accounts: Accounts, joins_ms: Floats, mix: float, rng: np.random.Generator) -> Load:
    """The load of that name (see ``LOADS``)."""
    return Natural(mix) if kind == "natural" else Dispatched(kind, accounts, joins_ms, mix, rng)
