"""A tenant's requests in order of arrival: sessions of several requests, with human pauses between them."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.simulate.tenants import Tenant

Event = dict[str, object]
#: Arrival in milliseconds, the event's id (so that order never rests on equal arrivals), the event.
Arrival = tuple[float, str, Event]
Times = NDArray[np.float64]

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

#: Sessions drawn together: enough for numpy to pay, few enough to keep a tenant's memory small.
SESSIONS_PER_BATCH = 8
REQUESTS_PER_SESSION = 6.0
REQUESTS_PER_BATCH = 512

#: Think time inside a session: lognormal, median 12 s, mean 22 s.
THINK_MEDIAN_MS = 12_000.0
THINK_SIGMA = 1.1

#: Sessions begin this long before the stream, so that its first minutes are as busy as the others.
LEAD_MS = 600_000.0

#: Amplitude of the daily rhythm; its peak is at 14:00 UTC, shifted by the tenant's phase.
DAILY_AMPLITUDE = 0.25
PEAK_MS = 14 * HOUR_MS

#: Gateways that flush late: share of the events, and their largest delay.
LATE_SHARE = 0.03
MAX_DELAY_MS = 20_000.0

#: Share of requests that lack an optional part which their tenant's gateway reports.
MISSING_SHARE = 0.03

TOKEN_SIGMA = 0.8
SHORT_INPUT_MEDIAN = 24.0

STATUSES = (400, 429, 500, 503)
STATUS_WEIGHTS = (0.35, 0.3, 0.2, 0.15)
ERROR_TYPES = {400: "invalid_request", 429: "rate_limit", 500: "api_error", 503: "overloaded"}


class Drawn(NamedTuple):
    """What differs from request to request; ``session`` is its session's start in milliseconds."""

    time_ms: float
    time: str
    status: int
    input_tokens: int
    output_tokens: int
    latency_ms: float
    session: int
    is_complete: bool
    pick: int


def session_requests(
    tenant: Tenant, begin_ms: float, end_ms: float, shape_onset_ms: float, seed: np.random.SeedSequence
) -> Iterator[Arrival]:
    """Ordinary requests whose time and arrival lie in [``begin_ms``, ``end_ms``).

    From event time ``shape_onset_ms`` on, prompts are short and outputs as long as ``max_tokens`` allows. Memory:
    the requests of sessions that overlap.
    """
    rng = np.random.default_rng(seed)
    gap_ms = 1_000 * REQUESTS_PER_SESSION / (tenant.rate * (1 + DAILY_AMPLITUDE))
    clock_ms = begin_ms - LEAD_MS
    numbers = count()
    pending: list[Arrival] = []
    while clock_ms < end_ms:
        starts = clock_ms + rng.exponential(gap_ms, SESSIONS_PER_BATCH).cumsum()
        clock_ms = float(starts[-1])
        kept = starts[(rng.random(len(starts)) < _intensity(starts, tenant.phase)) & (starts < end_ms)]
        times, sessions = _session_times(kept, rng)
        is_inside = (times >= begin_ms) & (times < end_ms)
        for drawn in _drawn(tenant, times[is_inside], sessions[is_inside], shape_onset_ms, rng):
            arrival_ms = drawn.time_ms + _delay_ms(rng)
            event_id = f"{tenant.tenant_id}-r{next(numbers)}"
            if arrival_ms < end_ms:
                pending.append((arrival_ms, event_id, _event(tenant, event_id, drawn)))
        pending.sort()
        ready = bisect_left(pending, (clock_ms,))
        yield from pending[:ready]
        pending = pending[ready:]
    yield from pending


def runaway_requests(
    tenant: Tenant, rate: float, onset_ms: float, end_ms: float, seed: np.random.SeedSequence
) -> Iterator[Arrival]:
    """A loop that does not stop: one account, one session, ``rate`` requests per second, the last one at ``end_ms``."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1.0, max(1, round((end_ms - onset_ms) / 1_000 * rate)))
    times = onset_ms + gaps.cumsum() * ((end_ms - onset_ms) / gaps.sum())
    times[-1] = end_ms
    for start in range(0, len(times), REQUESTS_PER_BATCH):
        batch = times[start : start + REQUESTS_PER_BATCH]
        sessions = np.full(len(batch), int(onset_ms))
        for number, drawn in enumerate(_drawn(tenant, batch, sessions, np.inf, rng), start=start):
            event_id = f"{tenant.tenant_id}-loop{number}"
            yield drawn.time_ms, event_id, _event(tenant, event_id, drawn)


def _intensity(times: Times, phase: float) -> Times:
    """Share of the busiest rate, 0..1."""
    angle = 2 * np.pi * (times - PEAK_MS) / DAY_MS + phase
    return (1 + DAILY_AMPLITUDE * np.cos(angle)) / (1 + DAILY_AMPLITUDE)


def _delay_ms(rng: np.random.Generator) -> float:
    return rng.uniform(0, MAX_DELAY_MS) if rng.random() < LATE_SHARE else 0.0


def _session_times(starts: Times, rng: np.random.Generator) -> tuple[Times, NDArray[np.int64]]:
    """Times of all requests, and the number of the session (by its start, in ms) each belongs to."""
    sizes = rng.geometric(1 / REQUESTS_PER_SESSION, len(starts))
    pauses = rng.lognormal(np.log(THINK_MEDIAN_MS), THINK_SIGMA, int(sizes.sum()))
    since_first = pauses.cumsum()
    firsts = sizes.cumsum() - sizes
    times = np.repeat(starts - since_first[firsts], sizes) + since_first
    return times, np.repeat(starts.astype(np.int64), sizes)


def _drawn(
    tenant: Tenant, times: Times, sessions: NDArray[np.int64], shape_onset_ms: float, rng: np.random.Generator
) -> Iterator[Drawn]:
    size = len(times)
    is_short = times >= shape_onset_ms
    input_tokens = rng.lognormal(np.log(np.where(is_short, SHORT_INPUT_MEDIAN, tenant.input_median)), TOKEN_SIGMA)
    output_tokens = rng.lognormal(np.log(tenant.output_median), TOKEN_SIGMA, size)
    output_tokens = np.where(is_short, tenant.max_tokens, np.minimum(output_tokens, tenant.max_tokens))
    is_error = rng.random(size) < tenant.error_ratio
    status = np.where(is_error, rng.choice(STATUSES, size, p=STATUS_WEIGHTS), 200)
    output_tokens[is_error] = 0
    latency_ms = (200 + 12 * output_tokens) * rng.lognormal(0.0, 0.3, size)
    columns = (
        times,
        np.datetime_as_string(times.astype("datetime64[ms]")),
        status,
        input_tokens.astype(np.int64) + 1,
        output_tokens.astype(np.int64),
        latency_ms.round(1),
        sessions,
        rng.random(size) >= MISSING_SHARE,
        rng.integers(1 << 16, size=size),
    )
    return map(Drawn._make, zip(*(column.tolist() for column in columns), strict=True))


def _event(tenant: Tenant, event_id: str, drawn: Drawn) -> Event:
    caller = tenant.callers[drawn.session % len(tenant.callers)]
    event: Event = {
        "id": event_id,
        "time": f"{drawn.time}Z",
        "tenant_id": tenant.tenant_id,
        "account_id": caller.account_id,
        "model": tenant.models[drawn.pick % 8 == 0],
        "status_code": drawn.status,
        "input_tokens": drawn.input_tokens,
        "output_tokens": drawn.output_tokens,
        "operation": "chat",
        "max_tokens": tenant.max_tokens,
    }
    if drawn.status == 200:
        event["latency_ms"] = drawn.latency_ms
        event["finish_reason"] = "length" if drawn.output_tokens == tenant.max_tokens else "stop"
    else:
        event["error_type"] = ERROR_TYPES[drawn.status]
    if tenant.reports_session:
        event["session_id"] = f"{tenant.tenant_id}-s{drawn.session}"
    if drawn.is_complete:
        if caller.client is not None:
            event["client"] = caller.client
        if caller.account is not None:
            event["account"] = caller.account
        if tenant.prompts:
            prompt = tenant.prompts[drawn.pick % len(tenant.prompts)]
            event["prompt"] = prompt | {"chars": 4 * drawn.input_tokens}
    return event
