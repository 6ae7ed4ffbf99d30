"""Scenarios of sudden excess: bursts of many sizes, one account that runs away, who pushes on and who stops."""

from collections.abc import Callable

import msgspec
import numpy as np

from benchmarks.quality.plans import Plan
from benchmarks.quality.populations import prompt_pool
from benchmarks.quality.streams import HOUR_MS, MINUTE_MS, ORIGIN_MS, Stream
from stream_app.simulate.salad import SALAD_KEY
from stream_app.sketches import sketch_prompt

#: Seed and scale to a stream.
Scenario = Callable[[int, float], Stream]

#: Requests a minute of a tenant before its burst.
SIZES = {"small": 0.5, "medium": 6.0, "large": 60.0}
HISTORY_MS = 12 * HOUR_MS


def _count(count: int, scale: float) -> int:
    return max(1, round(count * scale))


def bursts(seed: int, scale: float) -> Stream:
    """Bursts of 50 and 5 times the tenant's own mean rate, on top of it, after half a day of history.

    Of each size a third are services, people and steady ones; each tenant bursts once, in the last two hours.
    """
    plan = Plan("burst", seed, ORIGIN_MS + HISTORY_MS + 3 * HOUR_MS)
    for size, per_minute in SIZES.items():
        for times, lasts_min in ((50, 3), (5, 20)):
            for number in range(_count({"small": 20, "medium": 12, "large": 2}[size], scale)):
                kind = ("service", "people", "steady")[number % 3]
                rate = per_minute / 60
                place = plan.add(f"burst {times}x", kind, rate)
                onset = ORIGIN_MS + HISTORY_MS + int(plan.rng.uniform(0, 2 * HOUR_MS))
                end = onset + lasts_min * MINUTE_MS
                excess = plan.surge(place, (times - 1) * rate, onset, end)
                plan.label(place, f"{times}x {size}, {kind}", excess, end)
    return plan.stream()


def runaway_accounts(seed: int, scale: float) -> Stream:
    """Big tenants of forty accounts, of which one sends as much as all others together, for twenty minutes."""
    plan = Plan("account", seed, ORIGIN_MS + HISTORY_MS + 2 * HOUR_MS)
    for number in range(_count(8, scale)):
        rate = float(plan.rng.uniform(15, 40)) / 60
        place = plan.add("runaway account", ("service", "people")[number % 2], rate, accounts=40)
        onset = ORIGIN_MS + HISTORY_MS + int(plan.rng.uniform(0, HOUR_MS))
        end = onset + 20 * MINUTE_MS
        account = int(plan.rng.integers(10, 40))
        excess = plan.surge(place, rate * float(plan.rng.uniform(1.5, 4)), onset, end, account)
        plan.label(place, "runaway account", excess, end, account)
    return plan.stream()


def pushing(seed: int, scale: float) -> Stream:
    """Bursts of 50 times the own rate for an hour: half of the tenants push on, half stop a minute after a denial."""
    plan = Plan("pushing", seed, ORIGIN_MS + HISTORY_MS + 5 * HOUR_MS)
    for number in range(_count(6, scale) * 2):
        family = ("pushes on", "stops")[number % 2]
        rate = float(plan.rng.uniform(4, 8)) / 60
        place = plan.add(family, ("service", "steady")[number // 2 % 2], rate)
        onset = ORIGIN_MS + HISTORY_MS + int(plan.rng.uniform(0, HOUR_MS))
        end = onset + HOUR_MS
        plan.tenants[place].patience_ms = MINUTE_MS if family == "stops" else None
        excess = plan.surge(place, 49 * rate, onset, end)
        plan.label(place, family, excess, end)
    return plan.stream()


def jailbreaks(seed: int, scale: float) -> Stream:
    """One account in each of some tenants tries a goal again and again with changed suffixes; others ask one odd thing.

    Scores are as a classifier at the edge gives them: high and spread for the series, high once for the odd question,
    and above .5 for one ordinary prompt in two hundred. Two of three tries are refused, and tried again.
    """
    plan = Plan("jailbreak", seed, ORIGIN_MS + HISTORY_MS + 2 * HOUR_MS)
    rng = plan.rng
    for _ in range(_count(8, scale)):
        place = plan.add("series", "people", float(rng.uniform(1, 6)) / 60, accounts=8)
        _reports_prompts(plan, place)
        onset = ORIGIN_MS + HISTORY_MS + int(rng.uniform(0, HOUR_MS))
        end, account = onset + 30 * MINUTE_MS, int(rng.integers(8))
        series = plan.surge(place, 3 / 60, onset, end, account)
        series["jailbreak"] = rng.beta(6, 2, len(series))
        series["refused"] = rng.random(len(series)) < 0.66
        series["prompt"] = len(plan.tenants[place].prompts) + np.arange(len(series))
        plan.tenants[place].prompts = [*plan.tenants[place].prompts, *_mutations(plan, len(series))]
        plan.label(place, "jailbreak series", series, end, account)
    for _ in range(_count(24, scale)):
        place = plan.add("one odd question", "people", float(rng.uniform(0.5, 4)) / 60)
        onset = ORIGIN_MS + HISTORY_MS + int(rng.uniform(0, HOUR_MS))
        odd = plan.surge(place, 1 / 60, onset, onset + 10 * MINUTE_MS)[:1]
        plan.parts[-1] = odd
        odd["jailbreak"], odd["refused"] = 0.95, True
    for rows in plan.parts:
        has_none = rows["jailbreak"] == 0
        rows["jailbreak"][has_none] = rng.beta(0.6, 12, len(rows))[has_none]
        rows["jailbreak"][has_none & (rng.random(len(rows)) < 0.005)] = 0.6
    return plan.stream()


def _reports_prompts(plan: Plan, place: int) -> None:
    """Make sure that the tenant's gateway sketches prompts."""
    tenant = plan.tenants[place]
    tenant.reports |= {"prompt"}
    tenant.prompts = tenant.prompts or prompt_pool(plan.rng)


def _mutations(plan: Plan, count: int) -> list[str]:
    """Sketches of one goal of some hundred words whose last eight change from try to try."""
    goal = " ".join(_words(plan, 100))
    sketches = (sketch_prompt(f"{goal}: {' '.join(_words(plan, 8))}", key=SALAD_KEY) for _ in range(count))
    return [f',"prompt":{msgspec.json.encode(sketch).decode()}' for sketch in sketches]


def _words(plan: Plan, count: int) -> list[str]:
    letters = plan.rng.integers(97, 123, size=(count, 5)).astype(np.uint8)
    return [bytes(word).decode() for word in letters]
