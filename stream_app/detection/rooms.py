"""How far a tenant's counters may grow before it must be judged."""

from collections.abc import Sequence
from math import inf

from stream_app.detection.features import FEATURES, Counter
from stream_app.detection.floors import expect, floor_for, is_known, least_floors
from stream_app.detection.judgement import may
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Step
from stream_app.detection.state import TenantState

#: As plain numbers, which are fast to use.
_COUNTERS, _MOST_COUNTERS = tuple(int(feature.counter or 0) for feature in FEATURES), len(Counter)


def room(
    state: TenantState, policy: Policy, values: Sequence[tuple[int, float]], steps: Sequence[Step], minute: int
) -> tuple[list[float], bool]:
    """How far each counter (``features.Counter``) may grow in a minute until some sum may reach one of ``steps``.

    And whether that rests on levels. As long as no sum is beyond its least floor, none need be worked out: the floors
    are the room. Later sums never exceed today's plus what is counted, because windows only lose panes as they slide,
    so the room stays a safe one until baseline, policy, standing or the hour of the day change.
    """
    left = [inf] * _MOST_COUNTERS
    floors = least_floors(state, policy)
    has_levels = any(value > floors[index] for index, value in values)
    for index, value in values:
        level = _trip_level(state, policy, index, steps, minute) if has_levels else floors[index]
        counter = _COUNTERS[index]
        left[counter] = min(left[counter], level - value)
    return left, has_levels


def _trip_level(state: TenantState, policy: Policy, index: int, steps: Sequence[Step], minute: int) -> float:
    """The value above which a feature reaches one of ``steps``; infinite when it may not reach any."""
    feature = FEATURES[index]
    if feature.code not in policy.features:
        return inf
    rungs = [step.rung for step in steps if may(policy, feature, step)]
    if not rungs:
        return inf
    expectation, known = expect(state, index, minute), is_known(state)
    floors = [floor_for(policy, index, rung, expectation, is_known=known) for rung in rungs]
    level = expectation.level(policy.quantiles[rungs[0]])
    if level >= floors[0]:  # the levels of higher rungs are higher
        return level
    return min(map(max, floors, (expectation.level(policy.quantiles[rung]) for rung in rungs)))
