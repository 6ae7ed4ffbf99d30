"""What happens when the watermark has passed one of a tenant's minutes: score, judge, learn, forget."""

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import Effect, EmitDecision, ForgetDecision
from stream_app.detection.explanations import Cause
from stream_app.detection.judgement import closed_values, learn, score_values
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.policy import Policy
from stream_app.detection.rulings import forget_old, judge, muted_until_ms
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
    if tenant.has_levels:
        tenant.forget_room()
    return effects


def _close_minute(
    tenant_id: str, state: TenantState, policy: Policy, minute: int, place: tuple[str, int]
) -> tuple[Decision | None, list[str]]:
    windows = state.windows
    windows.close_minute(minute)
    served, asked = closed_values(state, minute)
    end_ms = (minute + 1) * MINUTE_MS
    rung = state.standing.rung if state.standing else Action.ALLOW
    on_rung = rung is not Action.ALLOW
    scored = score_values(state, policy, asked if on_rung else served)
    if rung.severity < Action.THROTTLE.severity:
        learn(state, policy, minute, served)
    decision = None
    if (on_rung or scored) and end_ms >= muted_until_ms(state, tenant_id):
        cause = Cause(*place, state.last_offset, end_ms, minute * PANES + PANES - 1)
        decision = judge(tenant_id, state, policy, scored, cause)
    forgotten = forget_old(state, tenant_id, end_ms)
    windows.forget(minute)
    return decision, forgotten
