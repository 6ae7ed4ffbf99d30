"""Univariate detectors, each giving every row a score, online: the detector's baseline, and rivals."""

from collections.abc import Callable
from math import expm1, log1p, sqrt

import numpy as np
from river.anomaly import GaussianScorer, HalfSpaceTrees, StandardAbsoluteDeviation
from river.stats import EWMean, EWVar, Mean

from benchmarks.nab.busy_hours import BusyHours
from benchmarks.nab.scoring import Floats, Series
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.rhythms import Rhythm
from stream_app.detection.scorers import Baseline, Prior

REQUESTS = FEATURES[CODES.index("requests_60s")]
#: Rows of history that weigh, and rows that are recent: as for requests of a minute, and for their surges.
MEMORY, RECENT = REQUESTS.memory, 30.0
#: Rows that a gauge is judged over, as shapes are over ten minutes.
ROWS = 10
#: A usual distance from what is expected is of the order of the series' own spread, and varies by a factor of e.
ONE_SPREAD = Prior(1.0, 1.0)
#: Rows in which the rivals fade: a day of five minutes.
RIVALS_MEMORY = 300
SEED = 42

Detector = Callable[[Series], Floats]


def stillwatch(series: Series) -> Floats:
    """The detector's baseline, judging how far a gauge is from what was expected of it.

    A gauge is no count, but its distance from what was expected is like one: positive, with a heavy tail, alike on a
    log scale from day to day. So that is what the baseline learns and scores. Expected are, as of a tenant, the level
    of a day, that of the last half hour, and that of the hour in the week. Like all shapes it is judged over ten
    windows; the largest of the three scores counts, as they are on one scale.
    """
    return _by_residuals(series, _hour_residuals)


def stillwatch_by_day(series: Series) -> Floats:
    """The same with the rhythm that the detector has, of the day alone."""
    return _by_residuals(series, _rhythm_residuals)


def _by_residuals(series: Series, by_hour: Callable[[Series, Floats], Floats]) -> Floats:
    values = (series.values - series.values[: series.probation].mean()) / _spread(series)
    residuals = (_level_residuals(values, MEMORY), _level_residuals(values, RECENT), by_hour(series, values))
    scores: Floats = np.maximum.reduce([_scored(np.abs(ten_rows(part)) * sqrt(ROWS)) for part in residuals])
    return scores


def _scored(distances: Floats) -> Floats:
    """By the detector's baseline, in its standard deviations: the same order as that of its tail probabilities."""
    known = Baseline()
    scores = np.zeros(len(distances))
    for row, distance in enumerate(distances.tolist()):
        expected = known.expect(ONE_SPREAD)
        scores[row] = (log1p(distance) - expected.mean) / expected.sd if row >= ROWS else 0.0
        known.learn_one(distance, MEMORY)
    return scores


def _level_residuals(values: Floats, memory: float) -> Floats:
    level, residuals = 0.0, np.zeros(len(values))
    for row, value in enumerate(values.tolist()):
        residuals[row] = value - level if row else 0.0
        level += (value - level) / min(row + 1, memory)
    return residuals


def _hour_residuals(series: Series, values: Floats) -> Floats:
    hours, residuals = BusyHours(), np.zeros(len(values))
    for row, (hour, value) in enumerate(zip(series.hours, values.tolist(), strict=True)):
        hours.judged_hour = hour
        residuals[row] = value - hours.expected() if row else 0.0
        hours.learn_one(hour, value, MEMORY)
    return residuals


def _rhythm_residuals(series: Series, values: Floats) -> Floats:
    """By the detector's rhythm; values stand for logarithms of requests, in the middle of their hour."""
    rhythm, level, residuals = Rhythm(), 0.0, np.zeros(len(values))
    for row, (hour, value) in enumerate(zip(series.hours, values.tolist(), strict=True)):
        minute, counted = hour * 60 + 30, expm1(min(value, 600.0))
        shift = rhythm.shifts(minute).minutes
        residuals[row] = value - level - shift if row else 0.0
        for windows in (rhythm.minutes, rhythm.blocks):
            rhythm.gather(minute, windows, counted, level)
        level += (value - shift - level) / min(row + 1, MEMORY)
    return residuals


def _spread(series: Series) -> float:
    return float(series.values[: series.probation].std()) or 1.0


def ten_rows(values: Floats) -> Floats:
    """Means of the last ten rows."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    row = np.arange(1, len(values) + 1)
    means: Floats = (sums[row] - sums[np.maximum(row - ROWS, 0)]) / np.minimum(row, ROWS)
    return means


def as_counts(series: Series) -> Floats:
    """The detector's baseline fed with values as if they were requests of a minute, for high and low values alike."""
    known, prior = Baseline(), REQUESTS.prior
    scores = np.zeros(len(series.values))
    for row, value in enumerate(np.maximum(series.values, 0.0).tolist()):
        expected = known.expect(prior)
        scores[row] = abs(log1p(value) - expected.mean) / expected.sd
        known.learn_one(value, MEMORY)
    return scores


def static_limit(series: Series) -> Floats:
    """One limit for everybody: the value itself."""
    return series.values


def ew_z_score(series: Series) -> Floats:
    """Standard deviations from an exponentially weighted mean."""
    mean, variance = EWMean(1.0 / RIVALS_MEMORY), EWVar(1.0 / RIVALS_MEMORY)
    scores = np.zeros(len(series.values))
    for row, value in enumerate(series.values.tolist()):
        if row >= 10:
            scores[row] = abs(value - mean.get()) / (sqrt(max(variance.get(), 0.0)) + 1e-9)
        mean.update(value)
        variance.update(value)
    return scores


def half_space_trees(series: Series) -> Floats:
    """River's HalfSpaceTrees alone, on values scaled by the range of the probation."""
    low, high = series.values[: series.probation].min(), series.values[: series.probation].max()
    trees = HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=SEED)
    scores = np.zeros(len(series.values))
    for row, value in enumerate(((series.values - low) / ((high - low) or 1.0)).clip(0.0, 1.0).tolist()):
        scores[row] = trees.score_one({"value": value})
        trees.learn_one({"value": value})
    return scores


def gaussian_scorer(series: Series) -> Floats:
    """River's GaussianScorer; over all that was seen, as its rolling variance turns negative on constant values."""
    scorer = GaussianScorer()
    scores = np.zeros(len(series.values))
    for row, value in enumerate(series.values.tolist()):
        scores[row] = scorer.score_one(None, value)
        scorer.learn_one(None, value)
    return scores


def standard_absolute_deviation(series: Series) -> Floats:
    """River's StandardAbsoluteDeviation (mean)."""
    scorer = StandardAbsoluteDeviation(sub_stat=Mean())
    scores = np.zeros(len(series.values))
    for row, value in enumerate(series.values.tolist()):
        scores[row] = abs(scorer.score_one(None, value)) if row >= 10 else 0.0
        scorer.learn_one(None, value)
    return scores


def leaky_bucket(series: Series) -> Floats:
    """A bucket that leaks half more than the probation's mean, as CrowdSec's; how full it is, in probation means."""
    mean = float(np.abs(series.values[: series.probation]).mean()) or 1.0
    scores = np.zeros(len(series.values))
    level = 0.0
    for row, value in enumerate(series.values.tolist()):
        level = max(level + value / mean - 1.5, 0.0)
        scores[row] = level
    return scores


STILLWATCH: dict[str, Detector] = {
    "Stillwatch": stillwatch,
    "Stillwatch, hours of the day only": stillwatch_by_day,
    "its baseline, gauges taken for counts": as_counts,
}
RIVALS: dict[str, Detector] = {
    "static limit": static_limit,
    "EW z-score": ew_z_score,
    "River HalfSpaceTrees alone": half_space_trees,
    "River GaussianScorer": gaussian_scorer,
    "River StandardAbsoluteDeviation": standard_absolute_deviation,
    "leaky bucket": leaky_bucket,
}
