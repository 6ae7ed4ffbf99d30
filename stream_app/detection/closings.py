"""What happens when the watermark has passed one of a tenant's minutes: score, judge, learn, forget."""

from stream_app.detection.decisions import Decision, Subject
from stream_app.detection.effects import Effect, EmitDecision, ForgetDecision
from stream_app.detection.explanations import Cause
from stream_app.detection.judgement import Scored, closed_values, learn, score_values, step_reached
from stream_app.detection.ladder import reachable
from stream_app.detection.lists import muted_until_ms, policy_for
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.overrides import forget_old
from stream_app.detection.policy import Policy
from stream_app.detection.rules import denies
from stream_app.detection.rulings import judge
from stream_app.detection.state import TenantState
from stream_app.detection.windows import MINUTE_MS, PANES


def close_minutes(tenant: Tenant, policy: Policy, closable: int, place: tuple[str, int], cause_ms: int) -> list[Effect]:
    """Close a tenant's minutes up to ``closable``, in order, skipping those in which nothing is due.

    ``place`` is topic and partition; ``cause_ms`` the Kafka timestamp that latency is measured from.
    """
    effects: list[Effect] = []
    while tenant.due <= closable:
        decision, forgotten = _close_minute(tenant.tenant_id, tenant.state, policy, tenant.due, place)
        if decision is not None:
            effects.append(EmitDecision(decision, cause_ms))
        effects += [ForgetDecision(key) for key in forgotten]
        tenant.due = tenant.next_due()
    tenant.forget_pane()
    if tenant.has_levels or tenant.state.pending:
        tenant.forget_room()
    return effects


def _close_minute(
    tenant_id: str, state: TenantState, policy: Policy, minute: int, place: tuple[str, int]
) -> tuple[Decision | None, list[str]]:
    windows = state.windows
    windows.close_minute(minute)
    served, asked = closed_values(state, minute)
    end_ms = (minute + 1) * MINUTE_MS
    subject = Subject(tenant_id)
    policy = policy_for(state, policy, subject, end_ms)
    standing = state.standing
    is_up = standing is not None and standing.is_up
    asked = asked if is_up else served
    scored = score_values(state, policy, asked)
    if standing is None or not denies(standing.rung):
        learn(state, policy, minute, served)
    decision = None
    state.pending = []
    is_muted = end_ms < muted_until_ms(state, policy, subject)
    if is_up or (scored and not is_muted):
        cause = Cause(*place, state.last_offset, end_ms, minute * PANES + PANES - 1)
        decision = judge(subject, state, policy, [] if is_muted else scored, cause)
        if not is_muted:
            state.pending = _waiting(state, policy, scored, end_ms)
    forgotten = forget_old(state, tenant_id, end_ms)
    windows.forget(minute)
    return decision, forgotten


def _waiting(state: TenantState, policy: Policy, scored: list[Scored], now_ms: int) -> list[tuple[int, float]]:
    """Values of shapes that would newly deny the tenant: they are judged with the sums at its next request.

    Whoever asks for nothing more need not be denied; and only what happens at events spends the harm budget, so that it
    does not depend on the moment at which minutes are closed.
    """
    wanted = step_reached(policy, scored, reachable(policy, state.standing, now_ms))
    if wanted is None or not denies(wanted.rung):
        return []
    return [(s.place, float(s.value)) for s in scored if s.feature.counter is None]
