"""NAB's scoring rule, standard profile, written from its description.

Lavin and Ahmad 2015, *Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark*: the earliest
detection in an anomaly's window earns up to 1, by a sigmoid of its place in the window; a window without one costs 1; a
detection outside costs up to .11, less when it follows soon after a window. The first 15 % of a series (of 5,000 points
at most) are for learning and count nothing. One threshold holds for the whole corpus: the best one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FALSE_POSITIVE_COST, MISS_COST = 0.11, 1.0
PROBATION_SHARE, PROBATION_ROWS = 0.15, 5_000
#: Thresholds tried of a detector.
THRESHOLDS = 400
#: This many window widths behind a window, a false detection costs in full.
FAR = 3.0


class Series(NamedTuple):
    """One series: hours since 1970, values, and the first and last row of each labelled window."""

    name: str
    hours: list[int]
    values: Floats
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """Rows that count nothing."""
        return int(PROBATION_SHARE * min(len(self.values), PROBATION_ROWS))


class Worth(NamedTuple):
    """What a detection at each row is worth, and the window it falls into (-1: none); the probation is left out."""

    gains: Floats
    windows: NDArray[np.int64]


class Result(NamedTuple):
    """The best threshold for a corpus: score normalised to null 0 and perfect 100, windows found, false detections."""

    score: float
    threshold: float
    found: int
    windows: int
    false_detections: int


def _sigmoid(place: Floats | float) -> Floats:
    """From nearly 1 at the beginning of a window (-1) over 0 at its end to nearly -1."""
    return np.asarray(2.0 / (1.0 + np.exp(5.0 * np.asarray(place))) - 1.0)


def worth(series: Series) -> Worth:
    """Work out what detections are worth."""
    rows = np.arange(len(series.values))
    windows = np.full(len(rows), -1)
    gains = np.full(len(rows), -FALSE_POSITIVE_COST)
    for number, (first, last) in enumerate(series.windows):
        width = last - first + 1
        behind = rows > last
        distance = (rows[behind] - last) / max(width - 1, 1)
        gains[behind] = FALSE_POSITIVE_COST * np.where(distance >= FAR, -1.0, _sigmoid(np.minimum(distance, FAR)))
        inside = slice(first, last + 1)
        windows[inside] = number
        gains[inside] = _sigmoid(-(last - rows[inside] + 1) / width) / _sigmoid(-1.0)
    return Worth(gains[series.probation :], windows[series.probation :])


def score_corpus(corpus: Sequence[Series], scores: Sequence[Floats], silence: int = 0) -> Result:
    """The standard profile's score of a detector, which gave every row of every series a score (higher is worse).

    With ``silence`` only the first of the rows above the threshold is a detection, until so many rows have been below
    it: what stands on a rung is not told again.
    """
    worths = [worth(series) for series in corpus]
    judged = [s[series.probation :] for s, series in zip(scores, corpus, strict=True)]
    count = sum(len(_numbers(part)) for part in worths)
    best = Result(0.0, float("inf"), 0, count, 0)
    for threshold in _thresholds(np.concatenate(judged)).tolist():
        found, false_detections, total = 0, 0, -MISS_COST * count
        for part, series_scores in zip(worths, judged, strict=True):
            rows = told(series_scores >= threshold, silence)
            windows, gains = part.windows[rows], part.gains[rows]
            hits = _numbers(Worth(gains, windows))
            found += len(hits)
            false_detections += int((windows < 0).sum())
            total += float(gains[windows < 0].sum()) + sum(MISS_COST + gains[windows == hit].max() for hit in hits)
        score = 100.0 * (total + MISS_COST * count) / ((1.0 + MISS_COST) * count)
        if score > best.score:
            best = Result(score, threshold, found, count, false_detections)
    return best


def told(is_above: NDArray[np.bool_], silence: int) -> NDArray[np.int64]:
    """The rows that are told: those above a threshold, without another one within ``silence`` rows before."""
    rows = np.flatnonzero(is_above)
    return rows[np.diff(rows, prepend=-silence - 1) > silence]


def _numbers(part: Worth) -> list[int]:
    numbers: list[int] = np.unique(part.windows[part.windows >= 0]).tolist()
    return numbers


def _thresholds(scores: Floats) -> Floats:
    """All scores, or so many of them that the rarest are told apart best: from one row in 100,000 to one in three."""
    found = np.unique(scores[np.isfinite(scores)])
    if len(found) <= THRESHOLDS:
        return found
    return np.unique(np.quantile(scores, 1.0 - np.geomspace(1e-5, 0.3, THRESHOLDS), method="higher"))
