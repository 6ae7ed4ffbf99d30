"""Scenarios of days and weeks: ramps, growth, first days, changed shapes, and benign changes that look like harm."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.plans import Plan
from benchmarks.quality.populations import rates_per_s
from benchmarks.quality.streams import DAY_MS, EXTRACTION, HOUR_MS, MINUTE_MS, ORIGIN_MS, Rows, Stream

_KINDS = ("people", "service", "steady")
HISTORY_DAYS, RAMP_DAYS = 14, 12
SHORT_INPUT_MEDIAN = 24.0


def extraction(seed: int, scale: float) -> Stream:
    """At an unchanged rate, prompts become short and outputs as long as allowed, with logprobs and all temperatures."""
    history = 12 * HOUR_MS
    plan = Plan("extraction", seed, ORIGIN_MS + history + 3 * HOUR_MS)
    for number in range(max(3, round(30 * scale))):
        per_minute = (1.0, 4.0, 12.0)[number % 3]
        place = plan.add("extraction", _KINDS[number // 3 % 3], per_minute / 60)
        onset = ORIGIN_MS + history + int(plan.rng.uniform(0, HOUR_MS))
        rows = plan.parts[-1]
        changed = rows["time_ms"] >= onset
        if changed.any():
            _extract(plan, place, rows, changed)
            plan.label(place, f"extraction {per_minute:g} a minute", rows[changed], plan.end_ms)
    return plan.stream()


def _extract(plan: Plan, place: int, rows: Rows, changed: NDArray[np.bool_]) -> None:
    count = int(changed.sum())
    rows["kind"][changed] = EXTRACTION
    rows["input"][changed] = plan.rng.lognormal(np.log(SHORT_INPUT_MEDIAN), 0.5, count) + 1
    rows["output"][changed] = plan.tenants[place].max_tokens
    rows["status"][changed] = 200


def _growing(percent: float) -> NDArray[np.float64]:
    hours = np.arange((HISTORY_DAYS + RAMP_DAYS) * 24)
    return (1 + percent / 100) ** np.maximum(0.0, hours / 24 - HISTORY_DAYS)


def ramps(seed: int, scale: float) -> Stream:
    """Steady tenants, some of which grow by 10 % a day after two weeks, a few of these with a changing shape, too."""
    onset, end = ORIGIN_MS + HISTORY_DAYS * DAY_MS, ORIGIN_MS + (HISTORY_DAYS + RAMP_DAYS) * DAY_MS
    plan = Plan("ramp", seed, end)
    for rate in rates_per_s(plan.rng, max(6, round(36 * scale)), 120, 0.6, 600):
        plan.add("steady beside ramps", "steady", float(rate))
    for family, count in (("ramp", 8), ("ramp with shape", 4)):
        for rate in rates_per_s(plan.rng, max(1, round(count * scale)), 200, 0.5, 600):
            place = plan.add(family, "steady", float(rate), growth=_growing(10))
            rows = plan.parts[-1]
            if family == "ramp with shape":
                part = np.clip((rows["time_ms"] - onset) / (5 * DAY_MS), 0, 1)
                _extract(plan, place, rows, plan.rng.random(len(rows)) < part)
            plan.label(place, family, rows[rows["time_ms"] >= onset], end)
    return plan.stream()


def growth(seed: int, scale: float) -> Stream:
    """The whole population of steady tenants grows by 10 % a day after two weeks."""
    return _grown("growth 10 %", 10, seed, scale)


def slow_growth(seed: int, scale: float) -> Stream:
    """The whole population of steady tenants grows by 3 % a day after two weeks."""
    return _grown("growth 3 %", 3, seed, scale)


def _grown(name: str, percent: float, seed: int, scale: float) -> Stream:
    end = ORIGIN_MS + (HISTORY_DAYS + RAMP_DAYS) * DAY_MS
    plan = Plan(name, seed, end, counted_ms=ORIGIN_MS + HISTORY_DAYS * DAY_MS)
    for rate in rates_per_s(plan.rng, max(10, round(60 * scale)), 100, 0.5, 600):
        plan.add(name, "steady", float(rate), growth=_growing(percent))
    return plan.stream()


def first_days(seed: int, scale: float) -> Stream:
    """A day of tenants which begin on it, beside as many that have been there for four days."""
    begin = ORIGIN_MS + 4 * DAY_MS
    plan = Plan("first day", seed, begin + DAY_MS, counted_ms=begin)
    count = max(20, round(250 * scale))
    for family, from_ms in (("mature", ORIGIN_MS), ("first day", begin)):
        for number, rate in enumerate(rates_per_s(plan.rng, count, 60, 1.5, 10_000)):
            since = from_ms if from_ms == ORIGIN_MS else begin + int(plan.rng.uniform(0, 16 * HOUR_MS))
            plan.add(family, _KINDS[number % 3], float(rate), begin_ms=since // HOUR_MS * HOUR_MS)
    return plan.stream()


def calm(seed: int, scale: float) -> Stream:
    """An ordinary population for ten days, two weekends among them: nothing happens."""
    plan = Plan("calm", seed, ORIGIN_MS + 10 * DAY_MS)
    for number, rate in enumerate(rates_per_s(plan.rng, max(20, round(90 * scale)), 120, 1.5, 15_000)):
        plan.add("ordinary", _KINDS[number % 3], float(rate))
    return plan.stream()


def hard_cases(seed: int, scale: float) -> Stream:
    """Benign changes over eight days, six tenants of each kind."""
    days = 8
    plan = Plan("hard cases", seed, ORIGIN_MS + days * DAY_MS)
    count = max(1, round(6 * scale))
    hours = np.arange(days * 24)
    levels = {
        "nightly batch": np.where((hours % 24 >= 2) & (hours % 24 < 4), 10.0, 0.3),
        "product launch that lasts": np.where(hours >= 5 * 24 + 10, 4.0, 1.0),
        "holiday and return": np.where((hours >= 2 * 24) & (hours < 5 * 24), 0.05, 1.0),
        "payday": np.where(hours // 24 % 5 == 3, 3.0, 1.0),
    }
    for family, level in levels.items():
        for rate in rates_per_s(plan.rng, count, 600, 0.8, 6_000):
            plan.add(family, "service", float(rate), growth=level)
    for rate in rates_per_s(plan.rng, count, 100, 0.6, 1_000):
        _retries_of_ci(plan, plan.add("CI retries", "people", float(rate)), days)
    return plan.stream()


def _retries_of_ci(plan: Plan, place: int, days: int) -> None:
    """Some four times a working day a test run of 20 to 150 requests within minutes; in one of five most fail."""
    for day in range(days):
        for _ in range(int(plan.rng.poisson(4 if day % 7 not in {2, 3} else 0.3))):
            begin = ORIGIN_MS + day * DAY_MS + int(plan.rng.uniform(8, 19) * HOUR_MS)
            lasts = int(plan.rng.uniform(0.5, 4) * MINUTE_MS)
            run = plan.surge(place, float(plan.rng.integers(20, 150)) / lasts * 1_000, begin, begin + lasts)
            run["excess"] = False
            if plan.rng.random() < 0.2:
                run["status"] = np.where(plan.rng.random(len(run)) < 0.8, 400, run["status"])
