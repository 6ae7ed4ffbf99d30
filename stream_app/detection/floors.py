"""What is usual for a tenant, and the size below which nothing matters for it: the less is known, the larger."""

from enum import IntEnum
from math import expm1

from stream_app.detection.decisions import Action
from stream_app.detection.features import CODES, FEATURES, GROWTH, SHARES, SHIFTS
from stream_app.detection.newcomers import PeerExpectation
from stream_app.detection.policy import Policy
from stream_app.detection.rhythms import NO_SHIFTS, Shifts
from stream_app.detection.rules import denies
from stream_app.detection.scorers import Baseline, CountExpectation, Expectation, ShareExpectation
from stream_app.detection.state import TenantState

#: Active minutes before a tenant's own level counts: a first evening's experiments are not that much.
KNOWN_MINUTES = 60
#: Requests before an old customer's floors deny it anything: one a minute for a day of activity. Real clients that ask
#: for one or two things now and then go to work in earnest overnight, and send a hundred times as much.
WELL_KNOWN_REQUESTS = 720
#: Whatever the score: less than this times the usual level denies nothing. Steady clients begin larger batches, too.
DENIED_TIMES = 10.0
#: Whatever the score: less than this times the recent level is no surge.
RECENT_TIMES = 2.0
_REQUESTS_60S = CODES.index("requests_60s")


Usual = Expectation | CountExpectation | ShareExpectation | PeerExpectation


class Known(IntEnum):
    """How much has been seen of a tenant: not enough for its own level to count, enough, and enough for a denial."""

    NOT = 0
    ACTIVE = 1
    WELL = 2


def expect(state: TenantState, index: int, minute: int) -> Usual:
    """What is usual for a feature, given by its place in ``FEATURES``, in a window that ends with a minute."""
    return expect_in(state, index, shifts(state, minute))


def expect_in(state: TenantState, index: int, hour: Shifts) -> Usual:
    """The same, given the ``shifts`` of the minute."""
    if index == GROWTH and state.growth is not None:
        return state.growth.expect()
    baseline = state.baselines[index] if index < len(state.baselines) else None
    baseline, feature = baseline or Baseline(), FEATURES[index]
    if feature.recent:
        return baseline.expect_recent(feature.recent)
    expectation = baseline.expect(feature.prior, hour[SHIFTS[index]])
    if index in SHARES and state.light is not None and state.light.judged is not None:
        return ShareExpectation(expectation, state.light.judged.requests)
    return expectation


def shifts(state: TenantState, minute: int) -> Shifts:
    """What the hour of the day adds to usual levels in windows that end with a minute."""
    return NO_SHIFTS if state.rhythm is None else state.rhythm.shifts(minute)


def is_known(state: TenantState) -> bool:
    """Whether enough has been seen of a tenant for its own level to count."""
    return known(state) is not Known.NOT


def known(state: TenantState) -> Known:
    """How much has been seen of a tenant: active minutes, and requests at their usual level."""
    baseline = state.baselines[_REQUESTS_60S] if state.baselines else None
    if baseline is None or baseline.weight < KNOWN_MINUTES:
        return Known.NOT
    return Known.WELL if baseline.weight * expm1(baseline.mean) >= WELL_KNOWN_REQUESTS else Known.ACTIVE


def least_floors(state: TenantState, policy: Policy) -> list[float]:
    """Values up to these need no level to be worked out."""
    return policy.small_floors if is_known(state) else policy.floors


def own_floor(policy: Policy, index: int, expectation: Usual, *, is_known: bool) -> float:
    """Size below which a feature does not matter for a tenant.

    That is the policy's floor. For a tenant known well whose usual values are far below, it is some times the usual
    value, and at least the floor for small tenants. Against a recent level the score
    says how much is unusual, but never less than twice as much.
    """
    floor, least = policy.floors[index], policy.small_floors[index]
    if least >= floor or not is_known:
        return floor
    if isinstance(expectation, CountExpectation):
        return max(least, RECENT_TIMES * expectation.mean) if expectation.is_known else floor
    return min(floor, max(least, policy.small_tenants.times * expectation.level(0.0)))


def floor_for(policy: Policy, index: int, rung: Action, expectation: Usual, known: Known) -> float:
    """Size above which a feature may take a tenant to a rung.

    Beyond ``small_tenants.up_to`` that is the policy's floor; a newcomer is denied nothing below a larger one, and
    nobody less than some times what is usual.
    """
    is_known = known is not Known.NOT
    if rung.severity <= policy.small_tenants.up_to.severity and (is_known or not denies(rung)):
        floor = own_floor(policy, index, expectation, is_known=is_known)
    else:
        floor = (policy.floors if known is Known.WELL or not denies(rung) else policy.newcomer_floors)[index]
    return max(floor, DENIED_TIMES * expectation.level(0.0)) if denies(rung) else floor
