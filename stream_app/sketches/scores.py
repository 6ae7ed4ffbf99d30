"""Scores of one prompt's text: how much it resembles known jailbreaks, and known ways to elicit reasoning.

A score is weak evidence about one prompt, and never decides alone; see ``docs/prompt-scores.md``.
"""

from collections.abc import Mapping
from math import exp
from pathlib import Path

import numpy as np

from stream_app.sketches.prompt_features import prompt_features
from stream_app.sketches.weights import SCORE_NAMES, SHIPPED, Weights, read_weights

#: Digits after the point: finer differences mean nothing, and a short number is cheaper in every event.
_DIGITS = 3


class PromptScorer:
    """Linear models over hashed features, as River has learned them; some 100 µs a prompt."""

    def __init__(self, weights: Weights) -> None:
        self._intercepts = [weights.scores[name].intercept for name in SCORE_NAMES]
        self._weights = np.stack([weights.scores[name].array() for name in SCORE_NAMES])

    @classmethod
    def load(cls, path: Path = SHIPPED) -> "PromptScorer":
        """Read the weights from a file; raises ``WeightsError``."""
        return cls(read_weights(path))

    def score(self, text: str) -> Mapping[str, float]:
        """Scores by name, 0 to 1, higher is worse: field ``scores`` of an event."""
        places, value, cues = prompt_features(text)
        sums = value * self._weights[:, places].sum(axis=1) + self._weights[:, cues].sum(axis=1)
        odds = [float(total) + intercept for total, intercept in zip(sums, self._intercepts, strict=True)]
        return dict(zip(SCORE_NAMES, map(_probability, odds), strict=True))


def _probability(log_odds: float) -> float:
    return round(1.0 / (1.0 + exp(-max(-40.0, min(40.0, log_odds)))), _DIGITS)
