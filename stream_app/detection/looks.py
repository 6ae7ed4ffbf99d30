"""A look at a tenant whose room is used up: is a rung reached, and how far may each counter grow from here."""

from stream_app.detection.decisions import Decision, Subject
from stream_app.detection.explanations import Cause
from stream_app.detection.harm import Harm
from stream_app.detection.judgement import room, score_values, step_reached, sum_values
from stream_app.detection.ladder import next_reach_ms, reachable
from stream_app.detection.lists import muted_until_ms, policy_for, soft_until_ms
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Step
from stream_app.detection.rulings import judge
from stream_app.detection.state import TenantState


def look(tenant: Tenant, policy: Policy, harm: Harm, cause: Cause) -> Decision | None:
    """Judge the windows that end now; a new denial is counted by the caller, who tells it."""
    state, subject, now_ms = tenant.state, Subject(tenant.tenant_id), cause.now_ms
    policy = policy_for(state, policy, subject, now_ms)
    muted_until = muted_until_ms(state, policy, subject)
    allowance = harm.allowance(policy.harm_budgets.subjects, now_ms)
    if now_ms >= muted_until and allowance.is_spent and _is_waiting(state, policy, now_ms):
        tenant.holds_until_ms = 0  # the budget may open at any event
        return None
    values = sum_values(state, cause.newest_pane)
    decision: Decision | None = None
    steps: list[Step] = []
    if now_ms < muted_until:
        tenant.holds_until_ms = muted_until
    else:
        scored = score_values(state, policy, values + state.pending)
        if step_reached(policy, scored, reachable(policy, state.standing, now_ms)):
            decision = judge(subject, state, policy, scored, cause, allowance)
            tenant.due = tenant.next_due()
        steps = reachable(policy, state.standing, now_ms)
        tenant.holds_until_ms = min(
            next_reach_ms(policy, state.standing, now_ms), soft_until_ms(state, subject, now_ms)
        )
    state.pending = []
    tenant.room = room(state, policy, values, steps)
    tenant.has_levels = any(value > policy.floors[index] for index, value in values)
    return decision


def _is_waiting(state: TenantState, policy: Policy, now_ms: int) -> bool:
    """Whether the tenant has been told that the spent budget alone keeps it from every rung above its own."""
    standing = state.standing
    return standing is not None and standing.is_withheld and not reachable(policy, standing, now_ms, can_deny=False)
