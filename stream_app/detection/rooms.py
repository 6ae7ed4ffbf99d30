"""How far a tenant's counters may grow before it must be judged."""

from collections.abc import Iterable, Sequence
from math import inf

from stream_app.detection.features import FEATURES, Counter
from stream_app.detection.floors import expect, floor_for, is_known, least_floors
from stream_app.detection.judgement import may
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Step
from stream_app.detection.state import TenantState


def room(
    state: TenantState, policy: Policy, values: Iterable[tuple[int, float]], steps: Sequence[Step], minute: int
) -> list[float]:
    """How far each counter (``features.Counter``) may grow in a minute until some sum may reach one of ``steps``.

    Up to a feature's least floor no level need be worked out: that floor is the room. Later sums never exceed today's
    plus what is counted, because windows only lose panes as they slide, so the room stays a safe one until baseline,
    policy, standing or the hour of the day change.
    """
    left = [inf] * len(Counter)
    floors = least_floors(state, policy)
    for index, value in values:
        level = floors[index]
        if value > level:
            level = _trip_level(state, policy, index, steps, minute)
        counter = FEATURES[index].counter or Counter.REQUESTS
        left[counter] = min(left[counter], level - value)
    return left


def _trip_level(state: TenantState, policy: Policy, index: int, steps: Sequence[Step], minute: int) -> float:
    """The value above which a feature reaches one of ``steps``; infinite when it may not reach any."""
    feature = FEATURES[index]
    if feature.code not in policy.features:
        return inf
    expectation, known = expect(state, index, minute), is_known(state)
    return min(
        (
            max(
                floor_for(policy, index, step.rung, expectation, is_known=known),
                expectation.level(policy.quantiles[step.rung]),
            )
            for step in steps
            if may(policy, feature, step)
        ),
        default=inf,
    )
