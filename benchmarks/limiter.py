"""How many checks a second one core answers: ``python benchmarks/limiter.py [--json]``.

Measured in CPU time of the process, because a shared machine makes wall time say little, and as single checks for
the percentiles, which therefore hold some 0.1 µs of the timer. The workload is seeded; the best of five runs counts.
"""

import random
import sys
import time
from statistics import quantiles

import orjson
from prometheus_client import CollectorRegistry

from stream_app.limiter import DecisionsTable, Limiter, RequestFacts

LOADED_S = 1_800_000_000
#: A minute after loading every bucket, which starts empty, is full.
NOW_S = LOADED_S + 60
CHECKS = 100_000
RUNS = 5
ROWS = 100_000


def decision(key: str, action: str) -> bytes:
    scope, _, subject = key.partition(":")
    return orjson.dumps(
        {
            "decision_id": f"d-{key}",
            "scope": scope,
            "subject": subject,
            "action": action,
            "simulated": False,
            "origin": "detector",
            "reasons": [{"code": "requests_surge"}],
            "expires_at": "2027-06-01T00:00:00Z",
            "revision": 1,
            "limit": {"requests_per_minute": 600, "tokens_per_minute": 1_000_000},
        }
    )


def limiter_with(actions: dict[str, str]) -> tuple[Limiter, float]:
    table = DecisionsTable()
    limiter = Limiter(table, CollectorRegistry(), clock=lambda: NOW_S)
    records = [(key.encode(), decision(key, action)) for key, action in actions.items()]
    started = time.process_time()
    for key, value in records:
        table.apply(key, value, LOADED_S * 1000)
    load_us = (time.process_time() - started) / max(1, len(records)) * 1e6
    table.mark_complete(LOADED_S * 1000)
    return limiter, load_us


def measure(limiter: Limiter, questions: list[RequestFacts]) -> dict[str, float]:
    rates = []
    for _ in range(RUNS):
        started = time.process_time()
        for facts in questions:
            limiter.check(facts)
        rates.append(len(questions) / (time.process_time() - started))
    spans_ns = []
    for facts in questions:
        started_ns = time.perf_counter_ns()
        limiter.check(facts)
        spans_ns.append(time.perf_counter_ns() - started_ns)
    percentiles = quantiles(spans_ns, n=100)
    return {
        "checks_per_s": round(max(rates)),
        "p50_us": round(percentiles[49] / 1000, 2),
        "p99_us": round(percentiles[98] / 1000, 2),
    }


def main() -> None:
    chance = random.Random(1)
    actions = ("block", "challenge", "throttle", "observe")
    table = {f"tenant:t{number}": actions[number % 4] for number in range(ROWS)}
    full, load_us = limiter_with(table)
    empty, _ = limiter_with({})

    def ask(prefix: str, step: int = 1, offset: int = 0) -> list[RequestFacts]:
        numbers = (chance.randrange(ROWS // step) * step + offset for _ in range(CHECKS))
        return [RequestFacts(tenant_id=f"{prefix}{number}", account_id="a") for number in numbers]

    crowded = [RequestFacts(f"x{n}", "a", f"p{n}", f"s{n}", f"i{n}") for n in range(CHECKS)]
    results: dict[str, dict[str, float]] = {
        "empty table": measure(empty, ask("t")),
        "100,000 decisions, subject without one": measure(full, ask("x")),
        "100,000 decisions, five scopes without one": measure(full, crowded),
        "100,000 decisions, blocked": measure(full, ask("t", 4, 0)),
        "100,000 decisions, throttled, with room": measure(full, ask("t", 4, 2)),
        "100,000 decisions, throttled, without room": measure(full, [RequestFacts("t2", "a")] * CHECKS),
    }
    if "--json" in sys.argv[1:]:
        print(orjson.dumps({"load_us_per_record": round(load_us, 2), "cases": results}).decode())
        return
    print(f"loading: {load_us:.2f} µs a record")
    for case, figures in results.items():
        print(
            f"{case:45} {figures['checks_per_s']:>9,} checks/s, p50 {figures['p50_us']} µs, p99 {figures['p99_us']} µs"
        )


if __name__ == "__main__":
    main()
