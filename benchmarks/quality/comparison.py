"""Rivals on the streams that the detector was judged on, each at the threshold that the tuning seeds allow it."""

from collections.abc import Sequence

from msgspec import Struct

from benchmarks.quality.measures import Outcome, counted_days, false_entries
from benchmarks.quality.rivals import RIVALS
from benchmarks.quality.streams import Stream, Truth
from benchmarks.quality.thresholds import (
    Reached,
    alarm_ms,
    curve_thresholds,
    false_alarms,
    reached,
    threshold_within,
)

#: False alarms per 1,000 tenant-days that a rival's threshold may cost on the tuning seeds: what is asked of throttles.
BUDGET = 1.0
_CURVE_POINTS = 24


class Alarmed(Struct, frozen=True):
    """One anomaly and a rival: seconds from onset and from the tenth excess request to its alarm; infinite without."""

    scenario: str
    family: str
    onset_s: float
    tenth_s: float


class Point(Struct, frozen=True):
    """A point of a curve: false alarms per 1,000 tenant-days, and the share of anomalies found."""

    false_per_1000: float
    recall: float


class Standing(Struct, frozen=True):
    """How a detector or rival did on the reported streams."""

    name: str
    threshold: str
    false: int
    days: float
    alarmed: list[Alarmed]
    curve: list[Point]


class Seen(Struct, frozen=True):
    """All rivals over one stream, whose requests need not be kept any longer."""

    scenario: str
    days: float
    truths: list[Truth]
    by_rival: dict[str, Reached]


def see(stream: Stream) -> Seen:
    """Let every rival look at a stream."""
    by_rival = {rival.name: reached(stream, rival.levels(stream)) for rival in RIVALS}
    return Seen(stream.scenario, stream.tenant_days(), stream.truths, by_rival)


def compare(tuning: Sequence[Seen], reported: Sequence[Seen]) -> list[Standing]:
    """All rivals; of the leaky buckets the one that finds most on the tuning seeds."""
    best: dict[str, tuple[int, str, float]] = {}
    allowed = BUDGET * sum(seen.days for seen in tuning) / 1_000
    for rival in RIVALS:
        found = [seen.by_rival[rival.name] for seen in tuning]
        threshold = threshold_within(found, allowed)
        hits = sum(at is not None for one in found for at in alarm_ms(one, threshold))
        kind = rival.name.partition(",")[0]
        if kind not in best or hits > best[kind][0]:
            best[kind] = hits, rival.name, threshold
    return [_standing(name, threshold, reported) for _, name, threshold in best.values()]


def _standing(name: str, threshold: float, reported: Sequence[Seen]) -> Standing:
    found = [seen.by_rival[name] for seen in reported]
    days = sum(seen.days for seen in reported)
    alarmed = []
    for seen, one in zip(reported, found, strict=True):
        for truth, at in zip(seen.truths, alarm_ms(one, threshold), strict=True):
            onset_s, tenth_s = (
                float("inf") if at is None else max(0.0, (at - since) / 1_000)
                for since in (truth.onset_ms, truth.tenth_ms)
            )
            alarmed.append(Alarmed(seen.scenario, truth.family, onset_s, tenth_s))
    curve = [
        Point(
            sum(false_alarms(one, level) for one in found) / days * 1_000,
            sum(at is not None for one in found for at in alarm_ms(one, level)) / max(1, len(alarmed)),
        )
        for level in curve_thresholds(found, _CURVE_POINTS)
    ]
    return Standing(name, f"{threshold:.4g}", sum(false_alarms(one, threshold) for one in found), days, alarmed, curve)


def own_standings(outcomes: Sequence[Outcome]) -> list[Standing]:
    """The detector's own two: any decision, and throttles or blocks alone."""
    days = counted_days(outcomes)
    standings = []
    for name, acts in (("Stillwatch, any decision", None), ("Stillwatch, throttle and block", ("throttle", "block"))):
        false = false_entries(outcomes, acts)
        alarmed = [
            Alarmed(outcome.scenario, found.family, *_times(found.onset_s, found.tenth_s, found.acted_s, acts))
            for outcome in outcomes
            for found in outcome.found
        ]
        hits = sum(one.tenth_s < float("inf") for one in alarmed)
        point = Point(false / max(days, 1e-9) * 1_000, hits / max(1, len(alarmed)))
        standings.append(Standing(name, "default policy", false, days, alarmed, [point]))
    return standings


def _times(onset_s: float, tenth_s: float, acted_s: float, acts: tuple[str, ...] | None) -> tuple[float, float]:
    return (onset_s, tenth_s) if acts is None else (acted_s, acted_s)
