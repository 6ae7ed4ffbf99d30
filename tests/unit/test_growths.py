"""Growth from week to week, beside the partition's."""

from itertools import count
from random import Random

from stream_app.detection.growths import (
    DAY_MINUTES,
    JUDGE_MINUTES,
    MIN_TENANTS,
    SEAL_MINUTES,
    Growth,
    Population,
    sealable_day,
)

OBSERVED = 0.999


def whole_days(days: int, totals: dict[str, list[float]]) -> dict[str, list[float]]:
    """Scores of each tenant's growth, day by day; the day's requests come in its first and last hours."""
    population, growths = Population(), {name: Growth() for name in totals}
    scores: dict[str, list[float]] = {name: [] for name in totals}
    for day in range(days):
        for of_day in (0, SEAL_MINUTES, JUDGE_MINUTES):
            if of_day == SEAL_MINUTES:
                population.seal(day - 1)
            for name, growth in growths.items():
                share = 0.5 if of_day != SEAL_MINUTES else 0.0
                growth.learn_one(day * DAY_MINUTES + of_day, round(totals[name][day] * share), population)
        for name, growth in growths.items():
            scores[name].append(growth.expect().score(growth.percent) if growth.percent is not None else 0.0)
    return scores


def steady(days: int, seed: int) -> list[float]:
    random = Random(seed)
    return [1_000 * random.lognormvariate(0, 0.05) for _ in range(days)]


def ramp(days: int, begin: int, seed: int) -> list[float]:
    return [total * 1.1 ** max(0, day - begin) for day, total in enumerate(steady(days, seed))]


def test_a_ramp_of_a_steady_tenant_is_out_of_the_ordinary_within_ten_days() -> None:
    totals = {f"t{seed}": steady(26, seed) for seed in range(12)} | {"ramp": ramp(26, 14, 99)}
    scores = whole_days(26, totals)
    assert next(day for day in count() if scores["ramp"][day] >= OBSERVED) <= 24
    assert all(max(scores[name]) < OBSERVED for name in totals if name != "ramp")


def test_what_everybody_does_is_nobodys_ramp() -> None:
    scores = whole_days(26, {f"t{seed}": ramp(26, 14, seed) for seed in range(12)})
    assert all(max(days) < OBSERVED for days in scores.values())


def test_without_a_population_nobody_is_judged() -> None:
    scores = whole_days(26, {f"t{seed}": ramp(26, 14, seed) for seed in range(MIN_TENANTS - 1)})
    assert all(max(days) == 0 for days in scores.values())


def test_one_busy_day_is_no_growth() -> None:
    busy = [total * (10 if day == 16 else 1) for day, total in enumerate(steady(26, 1))]
    others = {f"t{seed}": steady(26, seed) for seed in range(2, 12)}
    assert 0 < max(whole_days(26, others | {"busy": busy})["busy"]) < OBSERVED


def test_a_day_is_sealed_once_half_of_the_next_may_be_closed() -> None:
    assert sealable_day(2 * DAY_MINUTES + SEAL_MINUTES - 1) == 0
    assert sealable_day(2 * DAY_MINUTES + SEAL_MINUTES) == 1
