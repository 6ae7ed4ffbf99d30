"""Scenarios in which everybody acts at once and nobody is to blame: an outage with retries, a gap in collection."""

import numpy as np

from benchmarks.quality.plans import Plan
from benchmarks.quality.populations import rates_per_s
from benchmarks.quality.streams import HOUR_MS, MINUTE_MS, ORIGIN_MS, Rows, Stream

_KINDS = ("people", "service", "steady")
HISTORY_MS = 12 * HOUR_MS
#: Pauses before the tries after the first, as the official clients make them, in seconds.
BACKOFFS_S = ((1, 2, 4, 8), (0.5, 1), (0.2,) * 8)


def _population(plan: Plan, count: int, family: str) -> None:
    for place, rate in enumerate(rates_per_s(plan.rng, count, 400, 1.5, 30_000)):
        plan.add(family, _KINDS[place % 3], float(rate))


def outage(seed: int, scale: float) -> Stream:
    """For twenty minutes nearly every request of everybody fails with 429, 500 or 503, and is tried again.

    Clients try up to three, five or nine times, the last kind without much of a pause; ten minutes before there is a
    partial outage of a third of the requests, and what failed comes again within ten minutes afterwards.
    """
    plan = Plan("outage", seed, ORIGIN_MS + HISTORY_MS + 2 * HOUR_MS)
    _population(plan, max(20, round(120 * scale)), "outage")
    begin = ORIGIN_MS + HISTORY_MS + 30 * MINUTE_MS
    for place, rows in enumerate(plan.parts[:]):
        backoffs = BACKOFFS_S[place % 3]
        for onset, end, share in (
            (begin - 15 * MINUTE_MS, begin - 10 * MINUTE_MS, 0.33),
            (begin, begin + 20 * MINUTE_MS, 0.97),
        ):
            inside = (rows["time_ms"] >= onset) & (rows["time_ms"] < end)
            failed = inside & (plan.rng.random(len(rows)) < share)
            _fail(plan, rows, failed)
            plan.parts += _retries(plan, rows[failed], backoffs, end, share)
    return plan.stream()


def _fail(plan: Plan, rows: Rows, failed: np.ndarray) -> None:
    rows["status"][failed] = plan.rng.choice((429, 500, 503), int(failed.sum()), p=(0.3, 0.2, 0.5))
    rows["output"][failed] = 0


def _retries(plan: Plan, failed: Rows, backoffs_s: tuple[float, ...], end: int, share: float) -> list[Rows]:
    tries, waiting = [], failed.copy()
    for pause_s in backoffs_s:
        waiting = waiting.copy()
        waiting["time_ms"] += (1_000 * pause_s * plan.rng.uniform(0.7, 1.3, len(waiting))).astype(np.int64)
        waiting["arrival_ms"] = waiting["time_ms"]
        still = (waiting["time_ms"] < end) & (plan.rng.random(len(waiting)) < share)
        waiting["status"] = np.where(still, waiting["status"], 200)
        tries.append(waiting)
        waiting = waiting[still]
    lost = waiting.copy()
    lost["time_ms"] = end + plan.rng.exponential(3 * MINUTE_MS, len(lost)).astype(np.int64)
    lost["arrival_ms"], lost["status"] = lost["time_ms"], 200
    return [*tries, lost]


def gap(seed: int, scale: float) -> Stream:
    """Three hours in which nothing is collected, then everyone starts in the same minute, and catches up for ten."""
    end = ORIGIN_MS + HISTORY_MS + 5 * HOUR_MS
    plan = Plan("gap", seed, end)
    _population(plan, max(20, round(150 * scale)), "restart")
    begin, restart = ORIGIN_MS + HISTORY_MS, ORIGIN_MS + HISTORY_MS + 3 * HOUR_MS
    for place, rows in enumerate(plan.parts[:]):
        is_lost = (rows["time_ms"] >= begin) & (rows["time_ms"] < restart)
        backlog = rows[is_lost][: int(0.1 * is_lost.sum())].copy()
        plan.parts[place] = rows[~is_lost]
        backlog["time_ms"] = restart + plan.rng.uniform(0, 10 * MINUTE_MS, len(backlog)).astype(np.int64)
        backlog["arrival_ms"] = backlog["time_ms"]
        plan.parts.append(backlog)
    return plan.stream()
