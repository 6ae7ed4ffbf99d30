"""A look at a tenant whose room is used apart: is a rung reached, and how far may each counter grow from here."""

from collections.abc import Sequence
from math import inf

from stream_app.detection.accounts import busiest, fingerprint, responsible_account, set_apart, without
from stream_app.detection.bars import step_reached
from stream_app.detection.decisions import Decision, Subject
from stream_app.detection.explanations import Cause
from stream_app.detection.features import ACCOUNT_SURGES, Counter
from stream_app.detection.judgement import score_values, sum_values
from stream_app.detection.ladder import next_reach_ms, reachable
from stream_app.detection.lists import muted_until_ms, policy_for, soft_until_ms
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.policy import Policy
from stream_app.detection.rhythms import next_change_ms
from stream_app.detection.rooms import room
from stream_app.detection.rulings import judge, standing_of
from stream_app.detection.series_windows import series_values
from stream_app.detection.state import PartitionState, TenantState
from stream_app.detection.windows import MINUTE_MS, PANES

_NEVER_MS, _COUNTERS = 1 << 62, len(Counter)


def make_first_room(tenant: Tenant, policy: Policy) -> bool:
    """Room for a newcomer of whom nobody has said anything: all its sums are its only pane's. False if not enough."""
    state, windows = tenant.state, tenant.state.windows
    if policy.overrides or policy.allow_list or policy.watchlist or state.baselines:
        return False
    if len(windows.panes) != 1 or len(windows.minutes) != 1:
        return False
    if state.standing or state.accounts or state.pending or state.overrides or state.watches or state.soft_starts:
        return False
    ((index, pane),) = windows.panes.items()
    if index // PANES <= windows.closed_minute:
        return False
    counted = pane.requests, pane.input_tokens, pane.output_tokens, pane.errors
    room = [left - count for left, count in zip(policy.reach.room, counted, strict=True)]
    if min(room) < 0:
        return False
    tenant.room, tenant.holds_until_ms, tenant.has_levels = room, _NEVER_MS, False
    return True


def look(tenant: Tenant, policy: Policy, around: PartitionState, cause: Cause, account_id: str) -> Decision | None:
    """Judge the windows that end now; a new denial is counted by the caller, who tells it.

    ``account_id`` is that of the event. If the account is on a rung of its own, or alone explains what the tenant is
    apart to, it is the account that is judged. Mostly no sum is beyond the level of any rung, and nothing is judged.
    """
    state = tenant.state
    apart = set_apart(state, policy, tenant.tenant_id, cause.now_ms)
    if not (state.accounts or state.pending or apart):
        _make_room(tenant, policy, cause, apart)
        if not tenant.is_room_used():
            return None
    return _judge(tenant, policy, around, cause, account_id)


def _judge(tenant: Tenant, policy: Policy, around: PartitionState, cause: Cause, account_id: str) -> Decision | None:
    state, now_ms = tenant.state, cause.now_ms
    apart = set_apart(state, policy, tenant.tenant_id, now_ms)
    account = Subject(tenant.tenant_id, account_id)
    subject = account if account_id in apart else Subject(tenant.tenant_id)
    rules = policy_for(state, policy, subject, now_ms)
    muted_until = muted_until_ms(state, policy, subject)
    allowance = around.harm.allowance(rules.harm_budgets.subjects, now_ms)
    if now_ms >= muted_until and allowance.is_spent and _is_waiting(state, rules, subject, now_ms):
        tenant.holds_until_ms = 0  # the budget may open at any event
        return None
    decision: Decision | None = None
    waiting: list[tuple[int, float]] = []
    is_of_tenant, is_anothers = subject is not account, False
    if now_ms >= muted_until:
        values = sum_values(state, cause.newest_pane, without(apart, account_id))
        pending = state.pending if is_of_tenant else series_values(state, account_id, now_ms)
        if is_of_tenant and pending:
            waiting = [pair for pair in pending if _is_of_another(state, pair[0], account_id, apart)]
            pending = [pair for pair in pending if pair not in waiting]
        scored = score_values(state, rules, values + pending, cause.minute)
        steps = reachable(rules, standing_of(state, subject), now_ms)
        if scored and step_reached(rules, scored, steps) and around.services.is_everybody_busy(now_ms // MINUTE_MS):
            rules = rules.without_small_floors
            scored = score_values(state, rules, values + pending, cause.minute)
        if scored and step_reached(rules, scored, steps):
            if is_of_tenant:
                own = fingerprint(account_id)
                whose = responsible_account(state, rules, own, cause.newest_pane, scored, steps, apart)
                subject = account if whose == own else subject
                is_anothers = whose not in {None, own}
            if not is_anothers and now_ms >= muted_until_ms(state, policy, subject):
                decision = judge(subject, state, rules, scored, cause, allowance)
                tenant.due = tenant.next_due()
    if is_of_tenant:
        state.pending = waiting
    _make_room(tenant, policy, cause, set_apart(state, policy, tenant.tenant_id, now_ms))
    if is_anothers:
        tenant.holds_until_ms = 0  # that account's next request decides, and any may be that
    return decision


def _is_of_another(state: TenantState, place: int, account_id: str, apart: Sequence[str]) -> bool:
    """Whether a feature waits for a request of another account."""
    return place in ACCOUNT_SURGES and busiest(state, place, without(apart))[0] != fingerprint(account_id)


def _make_room(tenant: Tenant, policy: Policy, cause: Cause, apart: Sequence[str]) -> None:
    """How far the counters may grow before the tenant, or an account of it on a rung of its own, must be judged."""
    state, now_ms = tenant.state, cause.now_ms
    tenant.room, tenant.holds_until_ms, tenant.has_levels = [inf] * _COUNTERS, _NEVER_MS, False
    for account_id in (None, *apart):
        subject = Subject(tenant.tenant_id, account_id)
        rules = policy_for(state, policy, subject, now_ms)
        muted_until, standing = muted_until_ms(state, policy, subject), standing_of(state, subject)
        values = sum_values(state, cause.newest_pane, without(apart, account_id))
        is_muted = now_ms < muted_until
        steps = [] if is_muted else reachable(rules, standing, now_ms)
        left, has_levels = room(state, rules, values, steps, cause.minute)
        tenant.room, tenant.has_levels = list(map(min, tenant.room, left)), tenant.has_levels or has_levels
        holds_until_ms = muted_until if is_muted else next_reach_ms(rules, standing, now_ms)
        series = series_values(state, account_id, now_ms) if account_id else []
        if series and step_reached(rules, score_values(state, rules, series, cause.minute), steps):
            holds_until_ms = 0  # the account's next request decides, and any may be that
        tenant.holds_until_ms = min(tenant.holds_until_ms, holds_until_ms, soft_until_ms(state, subject, now_ms))
    if state.rhythm is not None and tenant.has_levels:
        tenant.holds_until_ms = min(tenant.holds_until_ms, next_change_ms(cause.minute))
    if state.pending:
        tenant.holds_until_ms = 0  # the next request, or that of the account that is asked for


def _is_waiting(state: TenantState, policy: Policy, subject: Subject, now_ms: int) -> bool:
    """Whether the subject has been told that the spent budget alone keeps it from every rung above its own."""
    standing = standing_of(state, subject)
    return standing is not None and standing.is_withheld and not reachable(policy, standing, now_ms, can_deny=False)
