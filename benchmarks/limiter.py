"""How many checks a second one core answers: ``python benchmarks/limiter.py [--json]``.

Measured in CPU time of the process, because a shared machine makes wall time say little, and as single checks for
the percentiles, which therefore hold some 0.1 µs of the timer. The workload is seeded; the best of five runs counts.
"""

import argparse
import random
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


SIZES = (0, 10_000, 100_000)


def cases(rows: int, chance: random.Random) -> tuple[float, dict[str, dict[str, float]]]:
    """Cost of loading a record, and the figures of each kind of question, at a table of so many decisions."""
    actions = ("block", "challenge", "throttle", "observe")
    limiter, load_us = limiter_with({f"tenant:t{number}": actions[number % 4] for number in range(rows)})
    strangers = [RequestFacts(f"x{chance.randrange(ROWS)}", "a") for _ in range(CHECKS)]
    crowded = [RequestFacts(f"x{n}", "a", f"p{n}", f"s{n}", f"i{n}") for n in range(CHECKS)]
    found = {"no decision": measure(limiter, strangers), "no decision, five scopes": measure(limiter, crowded)}
    if rows:

        def ask(offset: int) -> list[RequestFacts]:
            return [RequestFacts(f"t{chance.randrange(rows // 4) * 4 + offset}", "a") for _ in range(CHECKS)]

        found["blocked"] = measure(limiter, ask(0))
        found["throttled, with room"] = measure(limiter, ask(2))
        found["throttled, without room"] = measure(limiter, [RequestFacts("t2", "a")] * CHECKS)
    return load_us, found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limiter", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON list instead of lines")
    as_json = parser.parse_args().json
    chance = random.Random(1)
    results = {rows: cases(rows, chance) for rows in SIZES}
    if as_json:
        said = [{"decisions": rows, "load_us_per_record": us, "cases": found} for rows, (us, found) in results.items()]
        print(orjson.dumps(said).decode())
        return
    for rows, (load_us, found) in results.items():
        print(f"{rows:,} decisions" + (f", loading {load_us:.2f} µs a record" if rows else ""))
        for case, one in found.items():
            print(f"  {case:26} {one['checks_per_s']:>9,} checks/s, p50 {one['p50_us']} µs, p99 {one['p99_us']} µs")


if __name__ == "__main__":
    main()
