"""How far a tenant's counters may grow before it must be judged."""

from collections.abc import Sequence
from math import inf

from stream_app.detection.decisions import Action
from stream_app.detection.features import FEATURES, Counter
from stream_app.detection.floors import Known, expect_in, floor_for, known, least_floors, shifts
from stream_app.detection.policy import Policy
from stream_app.detection.reaches import rungs_for
from stream_app.detection.rhythms import Shifts
from stream_app.detection.rules import Step
from stream_app.detection.state import TenantState

#: As plain numbers, which are fast to use.
_COUNTERS, _MOST_COUNTERS = tuple(int(feature.counter or 0) for feature in FEATURES), len(Counter)


def room(
    state: TenantState, policy: Policy, values: Sequence[tuple[int, float]], steps: list[Step], minute: int
) -> tuple[list[float], bool]:
    """How far each counter (``features.Counter``) may grow in a minute until some sum may reach one of ``steps``.

    And whether that rests on levels. As long as no sum is beyond its least floor, none need be worked out: the floors
    are the room. Later sums never exceed today's plus what is counted, because windows only lose panes as they slide,
    so the room stays a safe one until baseline, policy, standing or the hour of the day change.
    """
    floors = least_floors(state, policy)
    above = [index for index, value in values if value > floors[index]]
    places = [index for index, _ in values]
    levels = _trip_levels(state, policy, places, steps, minute) if above else [floors[index] for index in places]
    left = [inf] * _MOST_COUNTERS
    for (index, value), level in zip(values, levels, strict=True):
        counter, most = _COUNTERS[index], level - value
        if most < left[counter]:  # noqa: PLR1730 - a call less for every sum
            left[counter] = most
    return left, bool(above)


def _trip_levels(
    state: TenantState, policy: Policy, places: Sequence[int], steps: list[Step], minute: int
) -> list[float]:
    """The values above which features reach one of ``steps``; infinite when one may not reach any."""
    hour, how_known, is_first = shifts(state, minute), known(state), steps is policy.reach.steps
    found = []
    for index in places:
        rungs = policy.reach.rungs[index] if is_first else rungs_for(policy.features, FEATURES[index].code, steps)
        found.append(_trip_level(state, policy, index, rungs, hour, how_known) if rungs else inf)
    return found


def _trip_level(  # noqa: PLR0917
    state: TenantState, policy: Policy, index: int, rungs: Sequence[Action], hour: Shifts, known: Known
) -> float:
    """The value above which a feature reaches one of ``rungs``, whose levels rise."""
    expectation = expect_in(state, index, hour)
    floor = floor_for(policy, index, rungs[0], expectation, known)
    level = expectation.level(policy.quantiles[rungs[0]])
    if level >= floor:
        return level
    for rung in rungs[1:]:
        other = floor_for(policy, index, rung, expectation, known)
        if other < floor:
            floor = min(floor, max(other, expectation.level(policy.quantiles[rung])))
    return floor
