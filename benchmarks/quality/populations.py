"""Made-up tenants with daily and weekly rhythm, sessions and several accounts, and their ordinary requests."""

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.quality.streams import DAY_MS, HOUR_MS, ORIGIN_MS, ROW, Caller, Rows, Tenant
from stream_app.simulate.salad import sketch_pool

Floats = NDArray[np.float64]
Rng = np.random.Generator

#: Three ways to use an API. Session sizes are geometric means; pauses inside a session are lognormal; swing is the
#: amplitude of the daily rhythm, weekend the share that is left on Saturday and Sunday, day_sigma the spread of whole
#: days. *people* type, a *service* answers its own users, a *steady* one polls or works off a queue.
KINDS: dict[str, tuple[float, float, float, float, float]] = {
    "people": (6.0, 12_000.0, 0.8, 0.3, 0.25),
    "service": (3.0, 1_500.0, 0.5, 0.7, 0.15),
    "steady": (1.5, 1_000.0, 0.1, 1.0, 0.03),
}
PAUSE_SIGMA, TOKEN_SIGMA = 1.1, 0.8
#: Share of gateways that report an optional part at all (as in ``stream_app.simulate.tenants``).
REPORTS = {"client": 0.7, "account": 0.6, "prompt": 0.6, "session": 0.8, "temperature": 0.75, "max_tokens": 0.85}
#: Gateways that flush late: share of the requests, and their largest delay.
LATE_SHARE, MAX_DELAY_MS = 0.03, 20_000
MODELS = ("small-1", "medium-1", "large-1", "large-2")
PLANS = ("free", "developer", "team", "enterprise")
PEAK_HOUR = 14
_THURSDAY = 3  # weekday of ORIGIN_MS, Monday is 0


def tenant(rng: Rng, name: str, family: str, rate: float, accounts: int | None = None) -> Tenant:
    """Draw a tenant; about one account per request every twenty seconds."""
    if accounts is None:
        accounts = int(np.clip(rng.poisson(20 * rate) + 1, 1, 40))
    reports = frozenset(part for part, share in REPORTS.items() if rng.random() < share)
    created = ORIGIN_MS - int((rng.exponential(300) + 1) * DAY_MS)
    account = {
        "created_at": str(np.datetime64(created, "ms")) + "Z",
        "payment_fp": f"pay-{rng.integers(2**40):010x}",
        "plan": PLANS[min(int(rate * 30), 3)],
    }
    prompts = prompt_pool(rng) if "prompt" in reports else []
    return Tenant(
        tenant_id=name,
        family=family,
        rate=rate,
        callers=[_caller(rng, f"{name}-a{place}", reports, account) for place in range(accounts)],
        models=[str(model) for model in rng.choice(MODELS, size=2)],
        max_tokens=int(rng.choice((512, 1024, 2048, 4096))),
        input_median=float(np.exp(rng.uniform(np.log(100), np.log(3_000)))),
        output_median=float(np.exp(rng.uniform(np.log(40), np.log(400)))),
        error_ratio=min(0.2, 0.02 * rng.lognormal(0.0, 0.7)),
        reports=reports,
        temperature=float(rng.choice((0.0, 0.2, 0.7, 1.0))),
        prompts=prompts,
    )


def prompt_pool(rng: Rng) -> list[str]:
    """JSON of a few sketches for requests to share, each beginning with a comma."""
    pool = sketch_pool(np.random.SeedSequence(int(rng.integers(2**32))))
    return [f',"prompt":{msgspec.json.encode(sketch).decode()}' for sketch in pool]


def _caller(rng: Rng, account_id: str, reports: frozenset[str], account: dict[str, str]) -> Caller:
    agent, address = int(rng.integers(5)), rng.integers(256, size=2)
    client = {
        "ip_prefix": f"10.{address[0]}.{address[1]}.0/24",
        "country": str(rng.choice(("US", "DE", "IN", "GB", "BR", "JP"))),
        "ja4": f"t13d{1510 + agent}h2_{agent:012x}",
        "user_agent": f"sdk/{agent}",
    }
    return Caller(
        account_id,
        f',"client":{orjson.dumps(client).decode()}' if "client" in reports else "",
        f',"account":{orjson.dumps(account).decode()}' if "account" in reports else "",
    )


def rates_per_s(rng: Rng, count: int, median_per_day: float, sigma: float, most_per_day: float) -> Floats:
    """Heavy-tailed rates, lognormal and capped."""
    return np.minimum(median_per_day * rng.lognormal(0.0, sigma, count), most_per_day) / 86_400


def hourly(rng: Rng, kind: str, begin_ms: int, end_ms: int) -> Floats:
    """Expected share of the mean rate in each hour from ``begin_ms``: rhythm of day and week, and better days."""
    _, _, swing, weekend, day_sigma = KINDS[kind]
    hours = np.arange(begin_ms // HOUR_MS, -(-end_ms // HOUR_MS)) - ORIGIN_MS // HOUR_MS
    phase = rng.normal(0.0, 2.0)
    level = 1 + swing * np.cos(2 * np.pi * (hours - PEAK_HOUR - phase) / 24)
    level *= np.where((hours // 24 + _THURSDAY) % 7 >= 5, weekend, 1.0)
    days = hours // 24 - hours[0] // 24
    level *= rng.lognormal(-(day_sigma**2) / 2, day_sigma, int(days[-1]) + 1)[days]
    return level / max((5 + 2 * weekend) / 7, 0.1)


def in_sessions(  # noqa: PLR0917
    rng: Rng, place: int, of: Tenant, kind: str, begin_ms: int, end_ms: int, level: Floats
) -> Rows:
    """Requests of the tenant at ``place`` between two times, ``level`` times its rate in each hour."""
    size, pause_ms, *_ = KINDS[kind]
    sessions = rng.poisson(of.rate * 3_600 / size * level)
    starts = (begin_ms // HOUR_MS + np.repeat(np.arange(len(level)), sessions)) * HOUR_MS
    starts = np.sort(starts + rng.uniform(0, HOUR_MS, len(starts)))
    sizes = rng.geometric(1 / size, len(starts))
    pauses = rng.lognormal(np.log(pause_ms), PAUSE_SIGMA, int(sizes.sum()))
    since = pauses.cumsum()
    times = np.repeat(starts - (since - pauses)[sizes.cumsum() - sizes], sizes) + since - pauses
    session = np.repeat(starts.astype(np.int64), sizes)
    # accounts are used unevenly, and a session is one account's
    weights = 1 / np.arange(1, len(of.callers) + 1)
    accounts = np.repeat(rng.choice(len(of.callers), len(starts), p=weights / weights.sum()), sizes)
    inside = (times >= begin_ms) & (times < end_ms)
    return requests(rng, place, of, times[inside], accounts[inside], session[inside])


def requests(  # noqa: PLR0917
    rng: Rng, place: int, of: Tenant, times: Floats, accounts: Floats | int, session: Floats | int
) -> Rows:
    """Requests at given times with the tenant's own sizes, errors and delays."""
    count = len(times)
    rows = np.zeros(count, ROW)
    rows["time_ms"] = times
    delay_ms = np.where(rng.random(count) < LATE_SHARE, rng.uniform(0, MAX_DELAY_MS, count), 0)
    rows["arrival_ms"] = rows["time_ms"] + delay_ms.astype(np.int64)
    rows["tenant"], rows["account"], rows["session"] = place, accounts, session
    rows["input"] = rng.lognormal(np.log(of.input_median), TOKEN_SIGMA, count) + 1
    rows["output"] = np.minimum(rng.lognormal(np.log(of.output_median), TOKEN_SIGMA, count), of.max_tokens)
    is_error = rng.random(count) < of.error_ratio
    rows["status"] = np.where(is_error, rng.choice((400, 429, 500, 503), count, p=(0.35, 0.3, 0.2, 0.15)), 200)
    rows["output"][is_error] = 0
    rows["pick"] = rng.integers(1 << 16, size=count)
    rows["prompt"] = rng.integers(6, size=count)
    return rows


def surge(  # noqa: PLR0917
    rng: Rng, place: int, of: Tenant, rate: float, onset_ms: int, end_ms: int, account: int = 0
) -> Rows:
    """What an injected surge adds: ``rate`` requests a second of one account, without delays, marked ``excess``."""
    gaps = rng.exponential(1_000 / rate, max(1, round(rate * (end_ms - onset_ms) / 1_000)))
    times = onset_ms + gaps.cumsum()
    rows = requests(rng, place, of, times[times < end_ms], account, onset_ms)
    rows["arrival_ms"] = rows["time_ms"]
    rows["excess"] = True
    return rows


def tenth_ms(excess: Rows) -> int:
    """Arrival of the tenth excess request, or of the last one where there are fewer."""
    return int(excess["arrival_ms"][min(9, len(excess) - 1)])
