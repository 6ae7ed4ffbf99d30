"""What a plot shows of one closed or closing minute of a tenant: seen, usual, and where each rung begins."""

from collections.abc import Iterable
from typing import NamedTuple

from stream_app.detection.decisions import Action, Subject
from stream_app.detection.features import FEATURES
from stream_app.detection.floors import expect, floor_for, known
from stream_app.detection.judgement import closed_values
from stream_app.detection.lists import policy_for
from stream_app.detection.policy import Policy
from stream_app.detection.services import Services
from stream_app.detection.state import TenantState
from stream_app.detection.windows import MINUTE_MS


class Traced(NamedTuple):
    """One feature in the window that ends with a minute.

    ``served`` is what is learned, ``asked`` counts denied requests too; ``levels`` are the values above which the
    feature enters each rung that it may reach, mildest first.
    """

    served: float
    asked: float
    expected: float
    levels: dict[Action, float]


def trace(
    tenant_id: str, state: TenantState, policy: Policy, minute: int, *, services: Services, places: Iterable[int]
) -> dict[int, Traced]:
    """Features by their place in ``FEATURES``, judged as they would be if the minute closed now.

    Features that say nothing are left out: ratios over too few requests.
    """
    policy = policy_for(state, policy, Subject(tenant_id), (minute + 1) * MINUTE_MS)
    closed = closed_values(state, minute, services)
    served, asked = dict(closed.served), dict(closed.asked)
    return {
        place: Traced(
            served[place], asked[place], expect(state, place, minute).level(0.0), levels(state, policy, place, minute)
        )
        for place in places
        if place in served
    }


def levels(state: TenantState, policy: Policy, place: int, minute: int) -> dict[Action, float]:
    """The values above which a feature enters, in a minute, each rung that it may reach, mildest first."""
    rule = policy.features.get(FEATURES[place].code)
    if rule is None:
        return {}
    expectation, how_known = expect(state, place, minute), known(state)
    return {
        rung: max(floor_for(policy, place, rung, expectation, how_known), expectation.level(policy.quantiles[rung]))
        for rung, _ in policy.ladder
        if rung.severity <= rule.up_to.severity
    }
