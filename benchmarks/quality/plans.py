"""A stream in the making: tenants and their requests are added one by one, then put in order."""

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.populations import Rng, hourly, in_sessions, surge, tenant, tenth_ms
from benchmarks.quality.streams import ORIGIN_MS, Rows, Stream, Tenant, Truth, in_order

Floats = NDArray[np.float64]


class Plan:
    """Collects a stream; one seed fixes everything drawn from ``rng``."""

    def __init__(self, scenario: str, seed: int, end_ms: int, counted_ms: int = 0) -> None:
        self.scenario, self.seed, self.end_ms, self.counted_ms = scenario, seed, end_ms, counted_ms
        self.rng: Rng = np.random.default_rng([seed, crc32(scenario.encode())])
        self.tenants: list[Tenant] = []
        self.kinds: list[str] = []
        self.parts: list[Rows] = []
        self.truths: list[Truth] = []

    def add(  # noqa: PLR0917
        self,
        family: str,
        kind: str,
        rate: float,
        begin_ms: int = ORIGIN_MS,
        growth: Floats | float = 1.0,
        accounts: int | None = None,
        end_ms: int | None = None,
    ) -> int:
        """Add a tenant and its ordinary requests; ``growth`` multiplies its rate hour by hour. Gives its place."""
        place = len(self.tenants)
        added = tenant(self.rng, f"{self.scenario}-{place:04d}", family, rate, accounts)
        added.begin_ms = begin_ms
        self.tenants.append(added)
        self.kinds.append(kind)
        end_ms = self.end_ms if end_ms is None else end_ms
        level = hourly(self.rng, kind, begin_ms, end_ms) * growth
        self.parts.append(in_sessions(self.rng, place, added, kind, begin_ms, end_ms, level))
        return place

    def surge(self, place: int, rate: float, onset_ms: int, end_ms: int, account: int = 0) -> Rows:
        """Add excess requests of one account."""
        rows = surge(self.rng, place, self.tenants[place], rate, onset_ms, end_ms, account)
        self.parts.append(rows)
        return rows

    def label(self, place: int, family: str, excess: Rows, end_ms: int, account: int | None = None) -> None:
        """An anomaly that consists of ``excess`` and is over at ``end_ms``; ``account`` names whose it is."""
        self.truths.append(
            Truth(
                place,
                family,
                onset_ms=int(excess["arrival_ms"].min()),
                end_ms=end_ms,
                tenth_ms=tenth_ms(excess),
                scope="tenant" if account is None else "account",
                account_id=None if account is None else self.tenants[place].callers[account].account_id,
            )
        )

    def stream(self) -> Stream:
        """The whole."""
        rows = in_order(self.parts)
        rows = rows[rows["arrival_ms"] < self.end_ms]
        return Stream(self.scenario, self.seed, self.tenants, rows, self.truths, self.end_ms, self.counted_ms)
