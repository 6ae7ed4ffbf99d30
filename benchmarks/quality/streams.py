"""A labelled stream: tenants, requests as one array, and what is true of them; and its events as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

#: One request. ``arrival_ms`` is when the gateway hands it over, ``excess`` marks what an injected surge adds,
#: ``tokens_kind`` a shape other than the tenant's own (``SHAPES``), ``prompt`` a place in the stream's prompts.
ROW = np.dtype(
    [
        *(("time_ms", "i8"), ("arrival_ms", "i8"), ("tenant", "i4"), ("account", "i4"), ("status", "i2")),
        *(("input", "i4"), ("output", "i4"), ("kind", "i1"), ("excess", "?"), ("session", "i8"), ("pick", "u2")),
        *(("jailbreak", "f4"), ("refused", "?"), ("prompt", "i4")),
    ]
)
Rows = NDArray[Any]
#: Values of ``kind``.
ORDINARY, EXTRACTION = 0, 1
#: A Thursday; every stream begins there, and where rhythm matters the hour of the week with it.
ORIGIN_MS = 1_767_225_600_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
#: Decisions until so long after an injected anomaly's end are its own: the longest window of the core that a decision
#: may still rest on, and the lateness.
GRACE_MS = 15 * MINUTE_MS
_BATCH = 4_096
_ERROR_TYPES = {400: "invalid_request", 429: "rate_limit", 500: "api_error", 503: "overloaded"}


class Caller(Struct, frozen=True):
    """An account, and the JSON of the parts that all its requests share (each begins with a comma)."""

    account_id: str
    client: str
    account: str


class Tenant(Struct):
    """A made-up tenant; ``rate`` is its mean in requests per second.

    ``patience_ms``: how long after its first denial it stops sending what is marked ``excess``; ``None`` is never.
    """

    tenant_id: str
    family: str
    rate: float
    callers: list[Caller]
    models: list[str]
    max_tokens: int
    input_median: float
    output_median: float
    error_ratio: float
    reports: frozenset[str]
    temperature: float = 0.7
    begin_ms: int = ORIGIN_MS
    patience_ms: int | None = None
    prompts: Sequence[str] = ()


class Truth(Struct, frozen=True):
    """An injected anomaly of one tenant; ``tenth_ms`` is the arrival of its tenth excess request."""

    tenant: int
    family: str
    onset_ms: int
    end_ms: int
    tenth_ms: int
    scope: str = "tenant"
    account_id: str | None = None

    def covers(self, time_ms: float) -> bool:
        """Whether a decision of this time may be this anomaly's."""
        return self.onset_ms <= time_ms <= self.end_ms + GRACE_MS


class Stream(Struct):
    """A stream of one scenario and seed, in order of arrival.

    ``counted_ms`` is from when decisions and tenant-days count (0: from each tenant's beginning). ``groups`` names
    tenants that are counted apart, by their ``family``.
    """

    scenario: str
    seed: int
    tenants: list[Tenant]
    rows: Rows
    truths: list[Truth]
    end_ms: int
    counted_ms: int = 0

    def tenant_days(self, families: set[str] | None = None) -> float:
        """Days in which decisions about these tenants count."""
        chosen = [tenant for tenant in self.tenants if families is None or tenant.family in families]
        return sum(self.end_ms - max(tenant.begin_ms, self.counted_ms) for tenant in chosen) / DAY_MS


def in_order(parts: Sequence[Rows]) -> Rows:
    """All requests by arrival."""
    rows = np.concatenate(parts)
    return rows[np.argsort(rows["arrival_ms"], kind="stable")]


def batches(rows: Rows) -> Iterator[tuple[list[tuple[Any, ...]], list[str]]]:
    """Requests as tuples in the order of ``ROW``, with their times in RFC 3339."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        yield batch.tolist(), np.datetime_as_string(batch["time_ms"].astype("datetime64[ms]")).tolist()


def event_json(  # noqa: C901
    tenant: Tenant, row: tuple[Any, ...], number: int, time: str, *, is_denied: bool
) -> bytes:
    """A request as the contract has it, or its denial."""
    _, _, _, account, status, input_tokens, output, kind, _, session, pick, jailbreak, refused, prompt = row
    caller = tenant.callers[account]
    reports = tenant.reports
    if is_denied:
        status, output = 429, 0
    parts = [
        f'{{"id":"q{number}","time":"{time}Z","tenant_id":"{tenant.tenant_id}","account_id":"{caller.account_id}",'
        f'"model":"{tenant.models[pick % 8 == 0]}","status_code":{status},"input_tokens":{input_tokens},'
        f'"output_tokens":{output},"operation":"chat"'
    ]
    if "max_tokens" in reports:
        parts.append(f',"max_tokens":{tenant.max_tokens}')
    if status == 200:
        parts.append(f',"latency_ms":{200 + 12 * output},"finish_reason":"')
        parts.append('length"' if output >= tenant.max_tokens else 'stop"')
    else:
        parts.append(f',"error_type":"{_ERROR_TYPES.get(status, "api_error")}"')
    if "temperature" in reports:
        temperature = (pick % 16) / 10 if kind == EXTRACTION else tenant.temperature
        parts.append(f',"temperature":{temperature:.1f}')
    if kind == EXTRACTION:
        parts.append(',"logprobs":true')
    if "session" in reports:
        parts.append(f',"session_id":"s{session}"')
    if jailbreak:
        parts.append(f',"scores":{{"jailbreak":{jailbreak:.3f}}}')
    if refused:
        parts.append(',"refused":true')
    if pick % 32:  # the rest lacks the optional parts that its gateway usually reports
        parts.append(caller.client + caller.account)
        if prompt >= 0 and tenant.prompts:
            parts.append(tenant.prompts[prompt])
    parts.append("}")
    return "".join(parts).encode()
