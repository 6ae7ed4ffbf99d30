"""River learns: one online logistic regression per score, a prompt at a time."""

import random
from collections.abc import Callable, Sequence

import numpy as np
from river.linear_model import LogisticRegression
from river.optim import AdaGrad

from benchmarks.prompt_scores.corpus import Example
from stream_app.sketches.prompt_features import SIZE, Features, prompt_features
from stream_app.sketches.weights import SCORE_NAMES, Linear, Weights

#: Chosen on the fold that trains on ``self_reminder_itw`` alone, before the other fold was looked at.
LEARNING_RATE = 0.3
L2 = 1e-5
PASSES = 4

#: Jailbreaks and templates are rarer in the sources than ordinary prompts; each class weighs the same, at most this
#: much more per prompt.
MOST_WEIGHT = 10.0


def train(examples: Sequence[Example], seed: int = 1, step: Callable[[], None] = lambda: None) -> Weights:
    """Learn both scores; ``step`` is called once a pass and score. The same examples and seed give the same weights."""
    features = [_features(example) for example in examples]
    scores = {}
    for name in SCORE_NAMES:
        labels = [bool(getattr(example, name)) for example in examples]
        scores[name] = _linear(_learn(features, labels, seed, step))
    return Weights(sorted({example.source for example in examples}), scores)


def _features(example: Example) -> dict[int, float]:
    features = prompt_features(example.text)
    return river_features(features._replace(places=features.places[:0]) if example.for_cues else features)


def river_features(features: Features) -> dict[int, float]:
    """Features in River's form, by their places."""
    words = dict.fromkeys(features.places.tolist(), features.word_value)
    return words | dict.fromkeys(features.cues, 1.0)


def _learn(
    features: list[dict[int, float]], labels: list[bool], seed: int, step: Callable[[], None]
) -> LogisticRegression:
    model = LogisticRegression(AdaGrad(LEARNING_RATE), l2=L2, intercept_lr=0.01)
    positives = sum(labels)
    weight = min(MOST_WEIGHT, (len(labels) - positives) / max(1, positives))
    order = list(range(len(labels)))
    rng = random.Random(seed)
    for _ in range(PASSES):
        rng.shuffle(order)
        for index in order:
            if labels[index] and not features[index]:  # a wrapper without a cue would teach only that all are worse
                continue
            model.learn_one(features[index], labels[index], w=weight if labels[index] else 1.0)
        step()
    return model


def _linear(model: LogisticRegression) -> Linear:
    dense = np.zeros(SIZE)
    for place, weight in model.weights.items():
        dense[place] = weight
    return Linear(float(model.intercept), dense.astype("<f2").tobytes())
