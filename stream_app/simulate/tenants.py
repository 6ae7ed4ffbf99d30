"""Made-up tenants: how fast each one is, its accounts, and what its requests look like."""

from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import msgspec
import numpy as np
from msgspec import Struct

from stream_app.simulate.salad import sketch_pool

#: Spread (log units) and daily mean (requests per second) of tenant rates: 400 tenants send about 50,000 requests in
#: three afternoon hours, and a tenth of the tenants sends most of them.
RATE_SIGMA = 1.8
MEAN_RATE = 0.0086

#: No ordinary tenant is faster, however many there are.
MAX_RATE = 4.0

MAX_ACCOUNTS = 20

#: Share of tenants whose gateway reports each optional part at all.
REPORTS_CLIENT = 0.7
REPORTS_ACCOUNT = 0.6
REPORTS_PROMPT = 0.6
REPORTS_SESSION = 0.8

MODELS = ("small-1", "medium-1", "large-1", "large-2")
MODEL_WEIGHTS = (0.45, 0.3, 0.17, 0.08)
MAX_TOKENS = (512, 1024, 2048, 4096)
USER_AGENTS = ("python-sdk/1.40", "python-sdk/1.52", "node-sdk/4.11", "go-sdk/0.9", "curl/8.5.0")
COUNTRIES = ("US", "DE", "IN", "GB", "BR", "JP", "FR", "CA")
PLANS = ("free", "developer", "team", "enterprise")


class Caller(Struct, frozen=True):
    """One account, and the parts of an event that all its requests share."""

    account_id: str
    client: dict[str, object] | None
    account: dict[str, object] | None


class Tenant(Struct, frozen=True):
    """One made-up tenant. ``rate`` is its mean in requests per second, ``error_ratio`` the share of failed ones.

    ``input_median`` and ``output_median`` are tokens. ``phase`` places its daily rhythm, in radians.
    """

    tenant_id: str
    rate: float
    callers: list[Caller]
    models: list[str]
    max_tokens: int
    input_median: float
    output_median: float
    error_ratio: float
    phase: float
    prompts: list[dict[str, object]]
    reports_session: bool


def tenant_rates(count: int) -> list[float]:
    """Lognormal quantiles, slowest first: the total does not depend on luck."""
    spread = NormalDist(0.0, RATE_SIGMA)
    raw = np.exp([spread.inv_cdf((place + 0.5) / count) for place in range(count)])
    rates: list[float] = np.minimum(raw * MEAN_RATE / np.exp(RATE_SIGMA**2 / 2), MAX_RATE).tolist()
    return rates


def made_up_tenant(number: int, rate: float, end: datetime, seed: np.random.SeedSequence) -> Tenant:
    """A tenant that is older than ``end``; costs some milliseconds where it has prompt sketches."""
    rng = np.random.default_rng(seed)
    tenant_id = f"tenant-{number:05d}"
    return Tenant(
        tenant_id=tenant_id,
        rate=rate,
        callers=_callers(tenant_id, rate, end, rng),
        models=rng.choice(MODELS, size=2, p=MODEL_WEIGHTS).tolist(),
        max_tokens=int(rng.choice(MAX_TOKENS)),
        input_median=float(np.exp(rng.uniform(np.log(100), np.log(3_000)))),
        output_median=float(np.exp(rng.uniform(np.log(40), np.log(500)))),
        error_ratio=min(0.2, 0.02 * rng.lognormal(0.0, 0.7)),
        phase=float(rng.normal(0.0, 0.6)),
        prompts=_prompts(seed, rng),
        reports_session=bool(rng.random() < REPORTS_SESSION),
    )


def _callers(tenant_id: str, rate: float, end: datetime, rng: np.random.Generator) -> list[Caller]:
    """More accounts in faster tenants: about one per request every twenty seconds."""
    count = int(np.clip(rng.poisson(20 * rate) + 1, 1, MAX_ACCOUNTS))
    reports_client = rng.random() < REPORTS_CLIENT
    reports_account = rng.random() < REPORTS_ACCOUNT
    payment = f"pay-{rng.integers(2**40):010x}"
    created = end - timedelta(days=float(rng.exponential(300)) + 1)
    plan = PLANS[min(int(rate * 30), len(PLANS) - 1)]
    account: dict[str, object] = {"created_at": _rfc3339(created), "payment_fp": payment, "plan": plan}
    return [
        Caller(f"{tenant_id}-a{place}", _client(rng) if reports_client else None, account if reports_account else None)
        for place in range(count)
    ]


def _client(rng: np.random.Generator) -> dict[str, object]:
    agent = int(rng.integers(len(USER_AGENTS)))
    address = rng.integers(256, size=2)
    return {
        "ip_prefix": f"10.{address[0]}.{address[1]}.0/24",
        "country": COUNTRIES[rng.integers(len(COUNTRIES))],
        "ja4": f"t13d{1510 + agent}h2_{agent:012x}",
        "user_agent": USER_AGENTS[agent],
    }


def _prompts(seed: np.random.SeedSequence, rng: np.random.Generator) -> list[dict[str, object]]:
    if rng.random() >= REPORTS_PROMPT:
        return []
    return [msgspec.to_builtins(sketch) for sketch in sketch_pool(seed.spawn(1)[0])]


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
