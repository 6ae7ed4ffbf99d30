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


def score_corpus(corpus: Sequence[Series], scores: Sequence[Floats]) -> Result:
    """The standard profile's score of a detector, which gave every row of every series a score (higher is worse)."""
    worths = [worth(series) for series in corpus]
    offsets = np.cumsum([0] + [len(series.windows) for series in corpus])
    all_scores = np.concatenate([s[series.probation :] for s, series in zip(scores, corpus, strict=True)])
    gains = np.concatenate([part.gains for part in worths])
    windows = np.concatenate(
        [
            np.where(part.windows >= 0, part.windows + offset, -1)
            for part, offset in zip(worths, offsets[:-1], strict=True)
        ]
    )
    best = np.full(len(np.unique(windows[windows >= 0])), -MISS_COST)
    place_of = {window: place for place, window in enumerate(np.unique(windows[windows >= 0]).tolist())}
    order = np.argsort(-all_scores, kind="stable")
    total, false_detections = float(best.sum()), 0
    null, perfect = total, float(len(best))
    result = Result(0.0, float("inf"), 0, len(best), 0)
    for number, row in enumerate(order.tolist()):
        window = int(windows[row])
        if window < 0:
            total += float(gains[row])
            false_detections += 1
        else:
            place = place_of[window]
            gain = max(float(best[place]), float(gains[row]))
            total += gain - float(best[place])
            best[place] = gain
        is_last = number + 1 == len(order) or all_scores[order[number + 1]] != all_scores[row]
        score = 100.0 * (total - null) / (perfect - null)
        if is_last and score > result.score:
            result = Result(score, float(all_scores[row]), int((best > -MISS_COST).sum()), len(best), false_detections)
    return result
