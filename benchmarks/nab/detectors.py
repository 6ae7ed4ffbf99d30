"""Univariate detectors, each giving every row a score, online: the baseline read two-sided, busy hours, and rivals."""

from collections import deque
from collections.abc import Callable
from math import copysign, log1p, sqrt

import numpy as np
from river.anomaly import GaussianScorer, HalfSpaceTrees, StandardAbsoluteDeviation
from river.stats import EWMean, EWVar, Mean

from benchmarks.nab.busy_hours import BusyHours
from benchmarks.nab.scoring import Floats, Series
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.scorers import Baseline

#: One setting for all series. Rows in which our level and spread, and the rivals', fade: a day of five minutes.
MEMORY = 300
#: Half of a residual is the newest row's: one odd value is less than two in a row.
SMOOTHING = 0.5
#: Rows of silence after a louder alarm, for every detector alike: what stands on a rung is not told again.
COOL_DOWN = 200
SEED = 42

Detector = Callable[[Series], Floats]


def baseline(series: Series) -> Floats:
    """The detector's own baseline as it is, with memory and prior of requests in a minute, read two-sided."""
    feature = FEATURES[CODES.index("requests_60s")]
    known = Baseline()
    scores = np.zeros(len(series.values))
    for row, value in enumerate(np.maximum(series.values, 0.0).tolist()):
        expected = known.expect(feature.prior)
        scores[row] = abs(log1p(value) - expected.mean) / expected.sd
        known.learn_one(value, feature.memory)
    return scores


def busy_hours(series: Series) -> Floats:
    """The larger of two deviations from what its hours make usual: of the value and of its logarithm."""
    scale = float(series.values[: series.probation].std()) or 1.0
    logs = [copysign(log1p(abs(value)), value) for value in series.values.tolist()]
    return np.maximum(_deviations(series, (series.values / scale).tolist()), _deviations(series, logs))


def _deviations(series: Series, values: list[float]) -> Floats:
    """How many standard deviations a smoothed residual is from nothing."""
    hours, residual, square = BusyHours(), EWMean(SMOOTHING), EWMean(1.0 / MEMORY)
    scores = np.zeros(len(values))
    for row, (hour, value) in enumerate(zip(series.hours, values, strict=True)):
        hours.judged_hour = hour
        residual.update(value - hours.expected() if row else 0.0)
        deviation = abs(residual.get())
        if row >= 10:
            scores[row] = deviation / (sqrt(square.get()) + 1e-9)
        square.update(deviation**2)
        hours.learn_one(hour, value, MEMORY)
    return scores


def static_limit(series: Series) -> Floats:
    """One limit for everybody: the value itself."""
    return series.values


def ew_z_score(series: Series) -> Floats:
    """Standard deviations from an exponentially weighted mean."""
    mean, variance = EWMean(1.0 / MEMORY), EWVar(1.0 / MEMORY)
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


DETECTORS: dict[str, Detector] = {
    "busy hours": busy_hours,
    "baseline of the detector": baseline,
    "static limit": static_limit,
    "EW z-score": ew_z_score,
    "River HalfSpaceTrees": half_space_trees,
    "River GaussianScorer": gaussian_scorer,
    "River StandardAbsoluteDeviation": standard_absolute_deviation,
    "leaky bucket": leaky_bucket,
}


def cooled_down(scores: Floats, rows: int = COOL_DOWN) -> Floats:
    """Scores without those that follow one at least as high within so many rows."""
    cooled = scores.astype(float).copy()
    highest: deque[tuple[int, float]] = deque()
    for row, score in enumerate(scores.tolist()):
        while highest and highest[0][0] < row - rows:
            highest.popleft()
        if highest and highest[0][1] >= score:
            cooled[row] = -np.inf
        while highest and highest[-1][1] <= score:
            highest.pop()
        highest.append((row, score))
    return cooled
