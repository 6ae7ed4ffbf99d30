"""What a rival's statistic says at any threshold, and the threshold that a budget of false alarms allows."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from benchmarks.quality.rivals import Floats, Levels
from benchmarks.quality.streams import GRACE_MS, HOUR_MS, Stream


class Reached(Struct, frozen=True):
    """What a rival's levels say of a stream at any threshold: peaks of quiet tenant-hours, and paths of anomalies.

    ``quiet`` has the highest level of every hour outside anomalies, hours of a tenant next to each other and a silent
    one behind them; ``paths`` for each anomaly the moments at which its level was higher than ever since the onset, and
    ``before`` the highest level in the hour before: what has alarmed already finds nothing new.
    """

    quiet: Floats
    paths: list[tuple[NDArray[np.int64], Floats]]
    before: list[float]


def reached(stream: Stream, levels: Levels) -> Reached:
    """Sum a stream's levels up, so that any threshold can be asked for."""
    first = int(stream.rows["arrival_ms"][0]) // HOUR_MS
    hours = stream.end_ms // HOUR_MS - first + 3  # one silent hour between two tenants
    is_quiet = levels.at_ms >= stream.counted_ms
    paths, before = [], []
    for truth in stream.truths:
        own = levels.tenant == truth.tenant
        just_before = own & (levels.at_ms < truth.onset_ms) & (levels.at_ms >= truth.onset_ms - HOUR_MS)
        before.append(float(levels.level[just_before].max(initial=0.0)))
        mine = own & (levels.at_ms >= truth.onset_ms)
        during = mine & (levels.at_ms <= truth.end_ms)
        is_quiet &= ~(mine & np.array(levels.at_ms <= truth.end_ms + GRACE_MS))
        at, level = levels.at_ms[during], levels.level[during]
        highest = np.maximum.accumulate(level) if len(level) else level
        rises = np.concatenate([[True], highest[1:] > highest[:-1]]) if len(level) else np.zeros(0, bool)
        paths.append((at[rises], highest[rises]))
    quiet = np.zeros(hours * len(stream.tenants))
    place = levels.tenant[is_quiet] * hours + levels.at_ms[is_quiet] // HOUR_MS - first
    np.maximum.at(quiet, place, levels.level[is_quiet])
    return Reached(quiet, paths, before)


def false_alarms(found: Reached, threshold: float) -> int:
    """Alarms outside anomalies; hours in a row above the threshold are one alarm a day."""
    above = np.concatenate([[False], found.quiet > threshold, [False]]).astype(np.int8)
    steps = np.diff(above)
    hours = np.flatnonzero(steps < 0) - np.flatnonzero(steps > 0)
    return int((-(-hours // 24)).sum())


def alarm_ms(found: Reached, threshold: float) -> list[int | None]:
    """When each anomaly raised an alarm, if it did."""
    times = []
    for (at, highest), before in zip(found.paths, found.before, strict=True):
        place = int(np.searchsorted(highest, threshold, side="right"))
        times.append(int(at[place]) if place < len(at) and before <= threshold else None)
    return times


def threshold_within(found: Sequence[Reached], allowed: float) -> float:
    """The lowest threshold at which, and above which, no more than ``allowed`` false alarms come of all streams."""
    candidates = np.unique(np.concatenate([one.quiet for one in found]))[::-1]
    lowest = float(candidates[0])
    for threshold in candidates[: 4 * int(allowed) + 50].tolist():
        if sum(false_alarms(one, threshold) for one in found) > allowed:
            break
        lowest = threshold
    return lowest


def curve_thresholds(found: Sequence[Reached], points: int) -> list[float]:
    """Thresholds from the strictest to a lax one, evenly spaced in the logarithm of the rank of quiet hours."""
    quiet = np.sort(np.concatenate([one.quiet[one.quiet > 0] for one in found]))[::-1]
    ranks = np.unique(np.geomspace(1, len(quiet) // 20 + 1, points).astype(int) - 1)
    return [float(quiet[rank]) for rank in ranks]
