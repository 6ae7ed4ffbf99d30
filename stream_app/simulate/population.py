"""Scenario ``population``: honest tenants, one that runs away and one whose requests change their shape."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge

import numpy as np
from msgspec import Struct

from stream_app.simulate.requests import Arrival, Event, runaway_requests, session_requests
from stream_app.simulate.tenants import Tenant, made_up_tenant, tenant_rates

TENANTS_AT_SCALE_1 = 400

#: Fewer could not hold the two special tenants beside ordinary ones.
MIN_TENANTS = 8

SPAN_S = 3 * 3600
NOISY_ONSET_S = 120

#: The noisy tenant: 6.5 requests a minute over the day and 7 to 10 in the afternoon, then forty more a second: a loop
#: without a pause that runs on a few threads, some 300 times its rate.
NOISY_RATE = 6.5 / 60
RUNAWAY_RATE = 40.0

#: The tenant of changed shape: 8 requests a minute all the time; the change holds for the last 40 minutes, or for the
#: last third of a stream shorter than two hours.
SHAPE_RATE = 8 / 60
SHAPE_ONSET_S = 2_400


class Population(Struct, frozen=True):
    """A planned stream. ``seeds`` holds one seed per tenant; ``end`` is the event time of the last event."""

    seed: int
    scale: float
    end: datetime
    span_s: int
    noisy_onset_s: int
    tenants: list[Tenant]
    seeds: list[np.random.SeedSequence]
    noisy: int
    shape: int

    def events(self) -> Iterator[Event]:
        """Events in order of arrival; memory grows with the number of tenants, not with the span."""
        for _, _, event in merge(*self._arrivals()):
            yield event

    def labels(self) -> Iterator[dict[str, object]]:
        """One line per account, whether it sends anything or not."""
        for number, tenant in enumerate(self.tenants):
            family = {self.noisy: "noisy", self.shape: "token_shape"}.get(number, "ordinary")
            for caller in tenant.callers:
                yield {
                    "tenant_id": tenant.tenant_id,
                    "account_id": caller.account_id,
                    "campaign": None,
                    "role": "benign",
                    "family": family,
                }

    def scenario(self) -> dict[str, object]:
        """What a detector should find, and from when on (event time)."""
        expect = {
            "noisy": (self.noisy, self._before_end(self.noisy_onset_s)),
            "token_shape": (self.shape, self._before_end(self._shape_onset_s())),
        }
        return {
            "name": "population",
            "seed": self.seed,
            "scale": self.scale,
            "campaigns": [],
            "expect": {
                family: {"tenant_id": self.tenants[number].tenant_id, "onset": onset.isoformat().replace("+00:00", "Z")}
                for family, (number, onset) in expect.items()
            },
        }

    def _arrivals(self) -> Iterator[Iterator[Arrival]]:
        end_ms = float(round(self.end.timestamp() * 1_000))
        begin_ms = end_ms - 1_000 * self.span_s
        for number, (tenant, seed) in enumerate(zip(self.tenants, self.seeds, strict=True)):
            ordinary, runaway = _children(seed)
            shape_onset_ms = end_ms - 1_000 * self._shape_onset_s() if number == self.shape else np.inf
            yield session_requests(tenant, begin_ms, end_ms, shape_onset_ms, ordinary)
            if number == self.noisy:
                onset_ms = end_ms - 1_000 * self.noisy_onset_s
                yield runaway_requests(tenant, RUNAWAY_RATE, onset_ms, end_ms, runaway)

    def _shape_onset_s(self) -> int:
        return min(SHAPE_ONSET_S, self.span_s // 3)

    def _before_end(self, seconds: int) -> datetime:
        return self.end - timedelta(seconds=seconds)


def plan_population(
    seed: int, scale: float, end: datetime, span_s: int = SPAN_S, noisy_onset_s: int = NOISY_ONSET_S
) -> Population:
    """Draw the tenants; ``scale`` 1 is 400 of them, who send about 50,000 requests in three hours.

    ``end`` needs a time zone and is cut to whole milliseconds; the noisy tenant starts ``noisy_onset_s`` before it.
    """
    end = end.astimezone(UTC)
    end = end.replace(microsecond=end.microsecond // 1_000 * 1_000)
    count = max(MIN_TENANTS, round(TENANTS_AT_SCALE_1 * scale))
    plan, *seeds = np.random.SeedSequence(seed).spawn(count + 1)
    rng = np.random.default_rng(plan)
    rates = rng.permutation(tenant_rates(count))
    noisy, shape = rng.choice(count, size=2, replace=False).tolist()
    rates[noisy] = NOISY_RATE
    rates[shape] = SHAPE_RATE
    tenants = [
        made_up_tenant(number, rate, end, tenant_seed)
        for number, (rate, tenant_seed) in enumerate(zip(rates.tolist(), seeds, strict=True))
    ]
    return Population(seed, scale, end, span_s, noisy_onset_s, tenants, seeds, noisy, shape)


def population(seed: int, scale: float, end: datetime, span_s: int, noisy_onset_s: int) -> Iterator[Event]:
    """The planned stream's events, as ``Population.events`` gives them."""
    return plan_population(seed, scale, end, span_s, noisy_onset_s).events()


def _children(seed: np.random.SeedSequence) -> list[np.random.SeedSequence]:
    """Seeds of the tenant's two streams; made by name, so that reading the stream twice gives the same events."""
    return [np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, stream)) for stream in (101, 102)]
