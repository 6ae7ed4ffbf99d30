"""What the detector must reach, each figure beside what was measured: met, not met, or not in this run."""

from collections.abc import Callable, Sequence
from math import isnan

from msgspec import Struct

from benchmarks.quality.measures import (
    Found,
    Interval,
    Outcome,
    counted_days,
    false_entries,
    quantile,
    rate,
    wilson,
)

DAY_S, MINUTE_S = 86_400, 60


class Verdict(Struct, frozen=True):
    """One line of the table; ``is_met`` None when this run cannot say."""

    asked: str
    measured: str
    is_met: bool | None


def verdicts(outcomes: Sequence[Outcome]) -> list[Verdict]:
    """All lines; a scenario that did not run has none."""
    ran = {outcome.scenario for outcome in outcomes}
    return [line(_of(outcomes, scenario)) for scenario, line in _LINES if scenario in ran]


def _of(outcomes: Sequence[Outcome], scenario: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.scenario == scenario]


def _all_found(outcomes: Sequence[Outcome], prefix: str) -> list[Found]:
    return [found for outcome in outcomes for found in outcome.found if found.family.startswith(prefix)]


def _within(times: int, limit_s: float) -> Callable[[list[Outcome]], Verdict]:
    def line(outcomes: list[Outcome]) -> Verdict:
        found = _all_found(outcomes, f"{times}x")
        p99 = quantile([one.tenth_s for one in found], 0.99)
        in_time = sum(one.tenth_s <= limit_s for one in found)
        return Verdict(
            f"burst of {times}×: decision p99 ≤ {limit_s} s after the tenth excess request",
            f"p99 {seconds(p99.value)}; in time {in_time} of {len(found)}, {percent(wilson(in_time, len(found)))}",
            p99.value <= limit_s,
        )

    return line


def _silent(what: str) -> Callable[[list[Outcome]], Verdict]:
    def line(outcomes: list[Outcome]) -> Verdict:
        groups = [group for outcome in outcomes for group in outcome.groups.values()]
        count = sum(group.false.total() for group in groups)
        tenants, decided = sum(group.tenants for group in groups), sum(group.decided for group in groups)
        return Verdict(f"{what}: 0 decisions", f"{count} decisions about {decided} of {tenants} tenants", count == 0)

    return line


def _extraction(outcomes: list[Outcome]) -> Verdict:
    found = _all_found(outcomes, "extraction")
    in_time = sum(one.onset_s <= 30 * MINUTE_S for one in found)
    slowest = quantile([one.onset_s for one in found], 0.99)
    return Verdict(
        "extraction shape at normal volume: ≤ 30 min",
        f"in time {in_time} of {len(found)}, {percent(wilson(in_time, len(found)))}; p99 {seconds(slowest.value)}",
        in_time == len(found),
    )


def _ramp(outcomes: list[Outcome]) -> Verdict:
    found = [one for one in _all_found(outcomes, "ramp") if one.family == "ramp"]
    in_time = sum(one.onset_s <= 10 * DAY_S for one in found)
    acted = sum(one.acted_s < float("inf") for one in found)
    return Verdict(
        "ramp of 10 % a day of a steady tenant: observed by day 10, throttled only when its shape changes too",
        f"observed in time {in_time} of {len(found)}, {percent(wilson(in_time, len(found)))}; throttled {acted}",
        in_time == len(found) and acted == 0,
    )


def _shaped_ramp(outcomes: list[Outcome]) -> Verdict:
    found = _all_found(outcomes, "ramp with shape")
    seen, acted = sum(one.onset_s <= 10 * DAY_S for one in found), sum(one.acted_s < float("inf") for one in found)
    return Verdict(
        "ramp of 10 % a day with a changing shape: observed by day 10; may be throttled",
        f"observed in time {seen} of {len(found)}, {percent(wilson(seen, len(found)))}; throttled {acted}",
        seen == len(found),
    )


def _growth(percent_a_day: int) -> Callable[[list[Outcome]], Verdict]:
    def line(outcomes: list[Outcome]) -> Verdict:
        groups = [group for outcome in outcomes for group in outcome.groups.values()]
        decided, tenants = sum(group.decided for group in groups), sum(group.tenants for group in groups)
        return Verdict(
            f"the whole population grows by {percent_a_day} % a day: any decision about ≤ .1 % of tenants",
            f"{decided} of {tenants}, {percent(wilson(decided, tenants))}",
            decided / tenants <= 0.001,
        )

    return line


def _real(outcomes: list[Outcome]) -> Verdict:
    false, days = false_entries(outcomes, ("throttle",)), counted_days(outcomes)
    blocks = false_entries(outcomes, ("block",))
    throttles = rate(false, days / 1_000)
    return Verdict(
        "real clients' curves: ≤ 1 throttle per 1,000 tenant-days, 0 blocks",
        f"{false} throttles in {days:,.0f} client-days, {per_thousand(throttles)}; {blocks} blocks",
        throttles.value <= 1 and blocks == 0,
    )


def _first_days(outcomes: list[Outcome]) -> Verdict:
    rates = {}
    for family in ("first day", "mature"):
        groups = [outcome.groups[family] for outcome in outcomes]
        rates[family] = rate(sum(g.false.total() for g in groups), sum(g.days for g in groups) / 1_000)
    new, old = rates["first day"], rates["mature"]
    return Verdict(
        "first-day tenants: at most .5 more false decisions per 1,000 tenant-days than mature ones",
        f"{per_thousand(new)} against {per_thousand(old)}",
        new.value - old.value <= 0.5,
    )


def _pushing(outcomes: list[Outcome]) -> Verdict:
    found = _all_found(outcomes, "pushes")
    acted = sum(one.acted_s < float("inf") for one in found)
    released = sum(outcome.released_pushing for outcome in outcomes)
    return Verdict(
        "a throttled tenant that keeps pushing is not released",
        f"{acted} of {len(found)} throttled; {released} releases while they pushed",
        released == 0 if acted else None,
    )


def _stopping(outcomes: list[Outcome]) -> Verdict:
    release_s = [one for outcome in outcomes for one in outcome.release_s]
    p99, returned = quantile(release_s, 0.99), sum(outcome.returned for outcome in outcomes)
    released = sum(one < float("inf") for one in release_s)
    return Verdict(
        "a throttled tenant that stops is released",
        f"{released} of {len(release_s)} released, p99 {seconds(p99.value)} after it stopped; {returned} decided again",
        released == len(release_s) if release_s else None,
    )


def _scope(outcomes: list[Outcome]) -> Verdict:
    found = _all_found(outcomes, "runaway account")
    right, seen = sum(one.is_scope_right for one in found), sum(one.onset_s < float("inf") for one in found)
    return Verdict(
        "one account of a big tenant runs away: the decision's scope is the account",
        f"{seen} of {len(found)} found, {right} with the right account named",
        right == len(found),
    )


def _series(outcomes: list[Outcome]) -> Verdict:
    found = _all_found(outcomes, "jailbreak series")
    seen = sum(one.onset_s < float("inf") for one in found)
    odd = sum(outcome.groups["one odd question"].false.total() for outcome in outcomes)
    return Verdict(
        "jailbreak series of one account seen within its half hour; who asks one odd thing is not",
        f"{seen} of {len(found)} seen, {percent(wilson(seen, len(found)))}; {odd} decisions about the others",
        seen == len(found) and odd == 0,
    )


def _calm(outcomes: list[Outcome]) -> Verdict:
    days = counted_days(outcomes)
    acted = false_entries(outcomes, ("throttle", "block"))
    denied, any_kind = (per_thousand(rate(count, days / 1_000)) for count in (acted, false_entries(outcomes, None)))
    return Verdict(
        f"{outcomes[0].scenario} (no figure asked; held to the one for real curves)",
        f"throttles and blocks {denied}, any decision {any_kind}",
        acted / days * 1_000 <= 1,
    )


#: Scenario and its line, in the order of the page.
_LINES: tuple[tuple[str, Callable[[list[Outcome]], Verdict]], ...] = (
    ("burst", _within(50, 2)),
    ("burst", _within(5, 60)),
    ("outage", _silent("error storm from retries in a provider's outage")),
    ("extraction", _extraction),
    ("ramp", _ramp),
    ("ramp", _shaped_ramp),
    ("growth 10 %", _growth(10)),
    ("growth 3 %", _growth(3)),
    ("real curves", _real),
    ("gap", _silent("restart of everyone after a gap in collection")),
    ("first day", _first_days),
    ("pushing", _pushing),
    ("pushing", _stopping),
    ("account", _scope),
    ("jailbreak", _series),
    ("calm", _calm),
    ("hard cases", _calm),
)


def percent(interval: Interval) -> str:
    """A share with its interval."""
    if isnan(interval.value):
        return "-"
    return f"{100 * interval.value:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def per_thousand(interval: Interval) -> str:
    """Events per 1,000 tenant-days with their interval."""
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f}) per 1,000 tenant-days"


def seconds(value: float) -> str:
    """Seconds, or larger units, or that it never happened."""
    if value == float("inf"):
        return "never"
    if isnan(value):
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s"
