"""What a policy lets a subject reach that stands on no rung: the same for nearly everybody, so worked out once."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stream_app.detection.decisions import Action
from stream_app.detection.features import FEATURES, SUMS, Counter
from stream_app.detection.rules import FeatureRule, Step


class Reach(NamedTuple):
    """Steps open to a subject on no rung, lowest first, and by feature place the rungs that each leads to by itself.

    ``room`` is how far each counter (``features.Counter``) may grow before any floor is reached.
    """

    steps: list[Step]
    rungs: list[list[Action]]
    room: list[float]


def reach_of(rules: Mapping[str, FeatureRule], floors: Sequence[float], steps: Sequence[Step]) -> Reach:
    """The reach under a policy's rules, floors by feature place, and steps."""
    first = [step for step in steps if step.rule.after_s == 0]
    room = [min(floors[place] for place in SUMS if FEATURES[place].counter is counter) for counter in Counter]
    return Reach(first, [rungs_for(rules, feature.code, first) for feature in FEATURES], room)


def rungs_for(rules: Mapping[str, FeatureRule], code: str, steps: Sequence[Step]) -> list[Action]:
    """Where one feature by itself may take a subject by some steps."""
    rule = rules.get(code)
    return [] if rule is None else [step.rung for step in steps if rule.may(step.rung, step.simulated)]
