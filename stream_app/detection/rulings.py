"""Scores and operators' words become decisions: moves on a tenant's ladder, and their records."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from stream_app.detection import operators
from stream_app.detection.decisions import (
    Action,
    Decision,
    Limit,
    PolicyRef,
    Reason,
    account_subject,
    decision_id,
    split_key,
    tenant_subject,
)
from stream_app.detection.explanations import MODEL, Cause, counterfactual, evidence, limit, reasons, rfc3339
from stream_app.detection.judgement import Bar, Scored, reaching, rung_reached
from stream_app.detection.ladder import (
    RELEASE_KEEP_MS,
    Move,
    Standing,
    Verdict,
    life,
    next_move,
    reachable,
    release,
)
from stream_app.detection.policy import Policy
from stream_app.detection.state import Override, TenantState
from stream_app.detection.windows import PANES, Pane


def muted_until_ms(state: TenantState, tenant_id: str) -> int:
    """Until when an operator's word on the tenant holds, so that scores change nothing; 0 without one."""
    override = state.overrides.get(f"tenant:{tenant_subject(tenant_id)}")
    return override.expires_ms if override else 0


def judge(
    tenant_id: str, state: TenantState, policy: Policy, scored: Sequence[Scored], cause: Cause
) -> Decision | None:
    """Move the tenant on its ladder as its scores demand; the decision that this takes, if any."""
    standing = state.standing
    rungs = reachable(policy, standing, cause.now_ms)
    rung = rung_reached(policy, scored, rungs)
    verdict = Verdict.ABOVE if rung else _holds_or_below(policy, standing, scored)
    if standing and standing.rung is not Action.ALLOW and verdict is not Verdict.BELOW:
        standing.over_ms = max(standing.over_ms, cause.now_ms)
        standing.wakes_ms = standing.over_ms + policy.cool_down_s * 1000
    match next_move(policy, standing, verdict, cause.now_ms):
        case Move.ENTER if rung:
            bar = Bar(rungs[0][0], rungs[0][1].enter)
            return _enter(tenant_id, state, policy, rung, scored, cause, bar)
        case Move.RENEW if standing:
            bar = Bar(standing.rung, policy.rungs[standing.rung].leave)  # type: ignore[index]
            return _enter(tenant_id, state, policy, standing.rung, scored, cause, bar)
        case Move.RELEASE if standing:
            return _release(tenant_id, state, policy, standing, cause)
    return None


def _holds_or_below(policy: Policy, standing: Standing | None, scored: Sequence[Scored]) -> Verdict:
    if standing is None or standing.rung is Action.ALLOW:
        return Verdict.BELOW
    rule = policy.rungs.get(standing.rung)
    return Verdict.HOLDS if rule and reaching(policy, scored, Bar(standing.rung, rule.leave)) else Verdict.BELOW


def _enter(  # noqa: PLR0917
    tenant_id: str, state: TenantState, policy: Policy, rung: Action, scored: Sequence[Scored], cause: Cause, bar: Bar
) -> Decision:
    now_ms, standing = cause.now_ms, state.standing
    ttl_ms, strikes = life(policy.rungs[rung], standing, now_ms)  # type: ignore[index]
    listed = reasons(policy, scored, bar)
    decision = _decision(
        tenant_id,
        state,
        policy,
        rung,
        cause,
        expires_ms=now_ms + ttl_ms,
        reasons=listed,
        counterfactual=counterfactual(policy, scored, bar) or UNSET,
        limit=limit(state, policy, scored) if rung is Action.THROTTLE else UNSET,
    )
    on_rung = standing is not None and standing.rung is not Action.ALLOW
    state.standing = Standing(
        rung=rung,
        since_ms=standing.since_ms if standing and on_rung else now_ms,
        over_ms=now_ms,
        expires_ms=now_ms + ttl_ms,
        strikes=strikes,
        decision_id=decision.decision_id,
        wakes_ms=now_ms + policy.cool_down_s * 1000,
    )
    return decision


def _release(tenant_id: str, state: TenantState, policy: Policy, standing: Standing, cause: Cause) -> Decision:
    release(policy, standing, cause.now_ms)
    decision = _decision(tenant_id, state, policy, Action.ALLOW, cause, expires_ms=standing.expires_ms, reasons=[])
    standing.decision_id = decision.decision_id
    return decision


def _decision(
    tenant_id: str,
    state: TenantState,
    policy: Policy,
    action: Action,
    cause: Cause,
    *,
    expires_ms: int,
    reasons: list[Reason],
    counterfactual: str | UnsetType = UNSET,
    limit: Limit | UnsetType = UNSET,
) -> Decision:
    subject = tenant_subject(tenant_id)
    rule = reasons[0].code if reasons else "cooled_down"
    state.overrides.pop(f"tenant:{subject}", None)
    state.revision = max(state.revision + 1, cause.offset)
    return Decision(
        decision_id=decision_id(f"tenant:{subject}", rule, action, cause.newest_pane),
        scope="tenant",
        subject=subject,
        tenant_id=tenant_id,
        action=action,
        simulated=policy.simulated,
        origin="detector",
        reasons=reasons,
        counterfactual=counterfactual,
        limit=limit,
        evidence=evidence(cause, _panes(state, cause.newest_pane)),
        policy=PolicyRef(policy.version, action),
        model=MODEL,
        issued_at=rfc3339(cause.now_ms),
        expires_at=rfc3339(expires_ms),
        revision=state.revision,
        supersedes=state.standing.decision_id if state.standing else UNSET,
        runbook_url=policy.runbook_url or UNSET,
    )


def _panes(state: TenantState, newest: int) -> list[Pane]:
    panes = state.windows.panes
    return [panes[index] for index in sorted(panes) if newest - PANES < index <= newest]


def overrule(state: TenantState, policy: Policy, word: operators.Override | operators.Release) -> Decision:
    """Follow an operator: the subject's key says from now on what the operator says, in either mode.

    A release only ends what was decided: it expires at once, so that it does not shield its subject like an allow, but
    it is kept as long as any release, for its revision.
    """
    record = word.record
    key = str(record.subject)
    scope, parts = split_key(key)
    subject = tenant_subject(*parts) if scope == "tenant" else account_subject(*parts)
    at_ms = round(record.at.timestamp() * 1000)
    if isinstance(word, operators.Override):
        action, limited, expires_ms = word.action, word.limit, word.expires_ms
        forget_ms = expires_ms + RELEASE_KEEP_MS
    else:
        action, limited, expires_ms = Action.ALLOW, UNSET, at_ms
        forget_ms = at_ms + policy.longest_ttl_s * 1000 + RELEASE_KEEP_MS
    state.revision = max(state.revision + 1, state.last_offset)
    decision = Decision(
        decision_id=decision_id(f"{scope}:{subject}", record.id, action, at_ms),
        scope=scope,
        subject=subject,
        tenant_id=word.tenant_id,
        account_id=parts[1] if scope == "account" else UNSET,
        action=action,
        simulated=False,
        origin="operator",
        reasons=[],
        limit=limited,
        policy=PolicyRef(policy.version, f"operator:{record.type}"),
        issued_at=rfc3339(at_ms),
        expires_at=rfc3339(expires_ms),
        revision=state.revision,
        supersedes=state.standing.decision_id if state.standing and scope == "tenant" else UNSET,
    )
    if scope == "tenant":
        state.standing = None
    state.overrides[decision.key] = Override(record.id, action, expires_ms, forget_ms, decision.decision_id)
    return decision


def forget_old(state: TenantState, tenant_id: str, now_ms: int) -> list[str]:
    """Keys of the control topic which have nothing left to say; their memory is dropped."""
    forgotten = [key for key, override in state.overrides.items() if now_ms >= override.forget_ms]
    for key in forgotten:
        del state.overrides[key]
    standing = state.standing
    if standing and standing.rung is Action.ALLOW and now_ms >= standing.expires_ms:
        state.standing = None
        forgotten.append(f"tenant:{tenant_subject(tenant_id)}")
    return forgotten
