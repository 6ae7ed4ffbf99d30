"""What happens when the watermark has passed one of a tenant's minutes: score, judge, learn, forget."""

from collections.abc import Sequence

from stream_app.detection.accounts import (
    busiest,
    note_accounts,
    own_surges,
    requests_by_account,
    responsible_account,
    set_apart,
    without,
)
from stream_app.detection.bars import bar_of, reaching, step_reached
from stream_app.detection.decisions import Decision, Subject
from stream_app.detection.effects import Effect, EmitDecision, ForgetDecision
from stream_app.detection.explanations import Cause
from stream_app.detection.features import ACCOUNT_SURGES, FEATURES, LASTING, MIN_SHAPE_REQUESTS
from stream_app.detection.floors import is_known
from stream_app.detection.growths import Growth
from stream_app.detection.hours import SPANS, Hours
from stream_app.detection.judgement import Scored, closed_values, score_newcomer, score_values
from stream_app.detection.ladder import reachable
from stream_app.detection.learning import learn, learn_lasting
from stream_app.detection.light_shapes import LIGHT_PLACES, LightShapes, Part, open_part
from stream_app.detection.lists import muted_until_ms, policy_for
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.newcomers import PeerExpectation
from stream_app.detection.overrides import forget_old
from stream_app.detection.policy import Policy
from stream_app.detection.rhythms import Rhythm
from stream_app.detection.rules import denies
from stream_app.detection.rulings import judge
from stream_app.detection.series_windows import series_values, worst_account
from stream_app.detection.services import Services
from stream_app.detection.state import PartitionState, TenantState
from stream_app.detection.windows import MINUTE_MS, PANES, Minute, is_block_end


def close_minutes(  # noqa: PLR0917
    tenant: Tenant, policy: Policy, around: PartitionState, closable: int, place: tuple[str, int], cause_ms: int
) -> list[Effect]:
    """Close a tenant's minutes up to ``closable``, in order, skipping those in which nothing is due.

    ``around`` is what the tenant is compared with, ``place`` topic and partition; ``cause_ms`` the Kafka timestamp
    that latency is measured from.
    """
    effects: list[Effect] = []
    was_known = is_known(tenant.state)
    while (minute := tenant.due) <= closable:
        decisions, forgotten = _close_minute(tenant.tenant_id, tenant.state, policy, around, minute, place)
        effects += [EmitDecision(decision, cause_ms) for decision in decisions]
        effects += [ForgetDecision(key) for key in forgotten]
        effects += tenant.signal((minute + 1) * MINUTE_MS, place[1])
        tenant.due = tenant.next_due()
    tenant.forget_pane()
    has_become_known = not was_known and is_known(tenant.state)  # smaller floors hold
    if tenant.has_levels or has_become_known or tenant.state.pending or tenant.state.series is not None:
        tenant.forget_room()
    return effects


def _close_minute(  # noqa: PLR0917
    tenant_id: str, state: TenantState, policy: Policy, around: PartitionState, minute: int, place: tuple[str, int]
) -> tuple[list[Decision], list[str]]:
    windows = state.windows
    closed = windows.close_minute(minute)
    over = _count(state, minute, closed, around) if closed is not None else ()
    end_ms = (minute + 1) * MINUTE_MS
    apart = set_apart(state, policy, tenant_id, end_ms)
    left_out = without(apart)
    served, asked, light, block = closed_values(state, minute, around.services, left_out, closed)
    if state.light is not None:
        state.light.judged = light
    cause = Cause(*place, state.last_offset, end_ms, minute * PANES + PANES - 1)
    subject = Subject(tenant_id)
    rules = policy_for(state, policy, subject, end_ms)
    standing = state.standing
    is_up = standing is not None and standing.is_up
    worst, is_apart = worst_account(state, end_ms) if state.series is not None else (None, False)
    if worst is not None and not is_apart:
        series = series_values(state, worst, end_ms)
        served, asked = served + series, asked + series
    rules, scored = _score(state, rules, asked if is_up else served, around.services, minute)
    busy = _busiest(state, minute, closed, left_out)
    is_muted = end_ms < muted_until_ms(state, policy, subject)
    asking = [] if is_muted or not busy else _asking(state, rules, around.services, busy, minute)
    names = dict.fromkeys([*state.accounts, *([worst] if worst and is_apart else [])])
    found = [_judge_account(Subject(tenant_id, name), state, policy, around.services, cause) for name in names]
    judged: Sequence[Scored] = scored
    if standing is None or not denies(standing.rung):
        judged = score_newcomer(state, rules, scored, served, around.newcomers)
        told = _untold(state, served, block) if light else served
        around.newcomers.gather(minute, told, state.baselines)
        suspect = _suspect(rules, judged)
        learn(state, rules, minute, told + [pair for pair in busy if pair not in asking], suspect)
        learn_lasting(state, over)
    state.pending = []
    if scored and not is_up and responsible_account(state, rules, None, cause.newest_pane, scored, rules.steps, apart):
        scored = judged = []  # the account's next request tells its name
    if is_up or (judged and not is_muted):
        found.append(judge(subject, state, rules, [] if is_muted else judged, cause))
        if not is_muted:
            state.pending = _waiting(state, rules, scored, end_ms)
    state.pending += asking
    _gather(state, minute, block, was_up=is_up, has_apart=bool(apart))
    forgotten = forget_old(state, tenant_id, end_ms)
    windows.forget(minute)
    return [decision for decision in found if decision is not None], forgotten


def _count(state: TenantState, minute: int, closed: Minute, around: PartitionState) -> tuple[int, ...]:
    """Add a minute to what is counted over longer times; gives the requests of spans that are over (``Hours.add``)."""
    note_accounts(state, minute, closed)
    state.growth = state.growth or Growth()
    state.growth.learn_one(minute, closed.requests, around.population)
    state.hours = state.hours or Hours()
    if state.rhythm is None and is_known(state):
        state.rhythm = Rhythm()
    return state.hours.add(minute, closed.requests)


def _score(
    state: TenantState, rules: Policy, values: list[tuple[int, float]], services: Services, minute: int
) -> tuple[Policy, list[Scored]]:
    """Scores, and the rules that hold: while everybody is busy a small tenant's excess is nobody's doing."""
    scored = score_values(state, rules, values, minute)
    if scored and services.is_everybody_busy(minute):
        rules = rules.without_small_floors
        scored = score_values(state, rules, values, minute)
    return rules, [s for s in scored if s.place not in LASTING or not _is_common(s, services, minute)]


def _is_common(lasting: Scored, services: Services, minute: int) -> bool:
    span = SPANS[LASTING.index(lasting.place)]
    return services.is_busy_day(minute, span, lasting.value, lasting.expectation.level(0.0))


def _suspect(policy: Policy, judged: Sequence[Scored]) -> set[int]:
    """Features in which a newcomer is so unusual among newcomers that it is worth a look."""
    if not any(isinstance(s.expectation, PeerExpectation) for s in judged):
        return set()
    return {s.place for s in reaching(policy, judged, bar_of(policy.steps[0]))}


def _untold(state: TenantState, served: list[tuple[int, float]], block: Part | None) -> list[tuple[int, float]]:
    """What may be learned: shapes over a light tenant's last requests only once ten of them are new."""
    if state.light is not None and block is not None and state.light.is_due(block):
        return served
    return [pair for pair in served if pair[0] not in LIGHT_PLACES]


def _gather(state: TenantState, minute: int, block: Part | None, *, was_up: bool, has_apart: bool) -> None:
    """Gather the shapes of a light tenant as its blocks end; what led to a rung is forgotten with it."""
    is_up = state.standing is not None and state.standing.is_up
    if was_up and not is_up:
        state.light = None
    if not is_block_end(minute) or has_apart:
        return
    if state.light is None and (is_up or state.windows.sum_long(minute)[0] < MIN_SHAPE_REQUESTS):
        state.light = LightShapes()
    if state.light is None:
        return
    if (block := block or open_part(state.windows, minute)) is not None:
        state.light.gather(block, minute, is_up)
    if not state.light.parts:
        state.light = None


def _judge_account(
    subject: Subject, state: TenantState, policy: Policy, services: Services, cause: Cause
) -> Decision | None:
    """An account on a rung of its own is judged by what it asks for; once the tenant is denied, it only cools down."""
    account_id = str(subject.account_id)
    standing = state.accounts.get(account_id)
    is_up = standing is not None and standing.is_up
    values = series_values(state, account_id, cause.now_ms)
    if not is_up and not values:
        return None
    apart = set_apart(state, policy, subject.tenant_id, cause.now_ms)
    rules = policy_for(state, policy, subject, cause.now_ms)
    scored: list[Scored] = []
    if cause.now_ms >= muted_until_ms(state, policy, subject):
        if account_id in apart:
            closed = closed_values(state, cause.minute, services, without(apart, account_id)).asked
            values += [pair for pair in closed if FEATURES[pair[0]].counter is not None]
            values += own_surges(state, account_id)
        scored = score_values(state, rules, values, cause.minute)
    return judge(subject, state, rules, scored, cause)


def _waiting(state: TenantState, policy: Policy, scored: list[Scored], now_ms: int) -> list[tuple[int, float]]:
    """Values of shapes that would newly deny the tenant: they are judged with the sums at its next request.

    Whoever asks for nothing more need not be denied; and only what happens at events spends the harm budget, so that it
    does not depend on the moment at which minutes are closed.
    """
    wanted = step_reached(policy, scored, reachable(policy, state.standing, now_ms))
    if wanted is None or not denies(wanted.rung):
        return []
    return [(s.place, float(s.value)) for s in scored if s.feature.counter is None]


def _busiest(state: TenantState, minute: int, closed: Minute | None, apart: Sequence[int]) -> list[tuple[int, float]]:
    """Requests of the busiest account in minutes that had several, if all of the last minute were counted apart."""
    if closed is None or not state.shared_minute or not state.windows.counts_all(minute):
        return []
    shared = [place for place in ACCOUNT_SURGES if len(requests_by_account(state, place)) > 1]
    return [(place, busiest(state, place, apart)[1]) for place in shared]


def _asking(
    state: TenantState, policy: Policy, services: Services, found: Sequence[tuple[int, float]], minute: int
) -> list[tuple[int, float]]:
    """What of the same reaches a rung: it waits for the account's next request, which tells its name.

    Until then it is not learned, so that it is judged by what was known before.
    """
    scored = score_values(state, policy, found, minute)
    if not scored or services.is_everybody_busy(minute):
        return []
    steps = reachable(policy, state.standing, (minute + 1) * MINUTE_MS)
    return [(s.place, s.value) for s in scored if step_reached(policy, [s], steps)]
