"""Scores become decisions: moves of a subject on its ladder, and their records."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from stream_app.detection.bars import Bar, bar_of, reaching, step_reached
from stream_app.detection.decisions import (
    Action,
    Budget,
    Decision,
    Limit,
    PolicyRef,
    Reason,
    Subject,
    decision_id,
)
from stream_app.detection.explanations import MODEL, Cause, counterfactual, evidence, limit, reasons, rfc3339
from stream_app.detection.harm import Allowance
from stream_app.detection.judgement import Scored
from stream_app.detection.ladder import Move, Standing, Verdict, denied_since_ms, life, next_move, reachable, release
from stream_app.detection.lists import listing
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Step, denies
from stream_app.detection.state import TenantState
from stream_app.detection.windows import PANES, Pane


def judge(  # noqa: PLR0917
    subject: Subject,
    state: TenantState,
    policy: Policy,
    scored: Sequence[Scored],
    cause: Cause,
    allowance: Allowance | None = None,
) -> Decision | None:
    """Move a subject on its ladder as its scores demand; the decision that this takes, if any.

    Without an ``allowance`` (at the close of a minute) or with a spent one it is not newly denied. If a spent one keeps
    it from that, it is told so once, on the highest rung that denies nothing.
    """
    standing = standing_of(state, subject)
    can_deny = allowance is not None and not allowance.is_spent
    step = step_reached(policy, scored, reachable(policy, standing, cause.now_ms, can_deny))
    withheld: Step | None = None
    if allowance and not can_deny:
        wanted = step_reached(policy, scored, reachable(policy, standing, cause.now_ms))
        if wanted and wanted != step and not (standing and standing.is_withheld):
            withheld = wanted
            step = step or next((s for s in reversed(policy.steps) if not denies(s.rung)), None)
    verdict = Verdict.ABOVE if step else _holds_or_below(policy, standing, scored)
    if standing and standing.is_up and verdict is not Verdict.BELOW:
        _keep_up(standing, policy, scored, cause.now_ms)
    ruling = _Ruling(subject, state, policy, cause, scored)
    match next_move(policy, standing, verdict, cause.now_ms):
        case Move.ENTER if step:
            return ruling.enter(step, bar_of(step), _budget(standing, step, allowance, withheld))
        case Move.RENEW if standing:
            renewed = Step(standing.rung, policy.rungs[standing.rung], _is_simulated(policy, standing))  # type: ignore[index]
            return ruling.enter(renewed, _leave_bar(policy, standing), UNSET)
        case Move.RELEASE if standing:
            return ruling.release(standing)
    return None


def standing_of(state: TenantState, subject: Subject) -> Standing | None:
    """Where a subject stands."""
    return state.standing if subject.account_id is None else state.accounts.get(subject.account_id)


def _put_standing(state: TenantState, subject: Subject, standing: Standing) -> None:
    if subject.account_id is None:
        state.standing = standing
    else:
        state.accounts[subject.account_id] = standing


def _keep_up(standing: Standing, policy: Policy, scored: Sequence[Scored], now_ms: int) -> None:
    standing.over_ms = max(standing.over_ms, now_ms)
    standing.wakes_ms = standing.over_ms + policy.cool_down_s * 1000
    _note_seen(standing, scored)


def _note_seen(standing: Standing, scored: Sequence[Scored]) -> None:
    for s in scored:
        standing.seen[s.place] = max(standing.seen.get(s.place, 0.0), float(s.value))


def _holds_or_below(policy: Policy, standing: Standing | None, scored: Sequence[Scored]) -> Verdict:
    if standing is None or not standing.is_up or standing.rung not in policy.rungs:
        return Verdict.BELOW
    return Verdict.HOLDS if reaching(policy, scored, _leave_bar(policy, standing)) else Verdict.BELOW


def _leave_bar(policy: Policy, standing: Standing) -> Bar:
    return Bar(standing.rung, policy.rungs[standing.rung].leave, _is_simulated(policy, standing))  # type: ignore[index]


def _is_simulated(policy: Policy, standing: Standing) -> bool:
    """What is enforced stays so only where the policy still enforces; what is simulated is enforced by entering."""
    is_enforced = policy.mode == "enforced" and policy.rungs[standing.rung].mode == "enforced"  # type: ignore[index]
    return standing.simulated or not is_enforced


def _budget(
    standing: Standing | None, step: Step, allowance: Allowance | None, withheld: Step | None
) -> Budget | UnsetType:
    """The budget's value in force, if the decision is about it: a new denial, or one withheld."""
    if allowance is None:
        return UNSET
    if withheld is not None:
        return Budget(allowance.allowed, allowance.used, withheld.rung)
    is_denied = standing is not None and denies(standing.rung) and (step.simulated or not standing.simulated)
    if not denies(step.rung) or is_denied:
        return UNSET
    return Budget(allowance.allowed, allowance.used + 1)


class _Ruling:
    """One judgement of one subject, about to become a decision."""

    def __init__(
        self, subject: Subject, state: TenantState, policy: Policy, cause: Cause, scored: Sequence[Scored]
    ) -> None:
        self.subject, self.state, self.policy, self.cause, self.scored = subject, state, policy, cause, scored
        self.standing = standing_of(state, subject)

    def enter(self, step: Step, bar: Bar, budget: Budget | UnsetType) -> Decision:
        """Put the subject on a rung, or renew its stay."""
        policy, now_ms, standing = self.policy, self.cause.now_ms, self.standing
        # Nobody acts on an observation, so that it may be renewed the more rarely the longer it lasts.
        ttl_ms, strikes = life(step.rule, standing, now_ms, is_lasting=not denies(step.rung))
        decision = self._decide(
            step.rung,
            step.simulated,
            expires_ms=now_ms + ttl_ms,
            reasons=reasons(policy, self.scored, bar, self.state.light),
            counterfactual=counterfactual(policy, self.scored, bar) or UNSET,
            limit=limit(self.state, policy, self.scored, self.cause.minute) if step.rung is Action.THROTTLE else UNSET,
            budget=budget,
        )
        is_up = standing is not None and standing.is_up
        entered = Standing(
            rung=step.rung,
            since_ms=standing.since_ms if standing and is_up else now_ms,
            over_ms=now_ms,
            expires_ms=now_ms + ttl_ms,
            strikes=strikes,
            decision_id=decision.decision_id,
            wakes_ms=now_ms + policy.cool_down_s * 1000,
            simulated=step.simulated,
            is_withheld=self._is_withheld(step, budget),
            seen=standing.seen if standing and is_up else {},
            denied_ms=denied_since_ms(standing, step.rung, now_ms),
        )
        _note_seen(entered, self.scored)
        _put_standing(self.state, self.subject, entered)
        return decision

    def _is_withheld(self, step: Step, budget: Budget | UnsetType) -> bool:
        if budget is not UNSET:
            return budget.withheld is not UNSET
        standing = self.standing
        return standing is not None and standing.is_withheld and standing.rung is step.rung

    def release(self, standing: Standing) -> Decision:
        """Put the subject back to allow."""
        simulated = standing.simulated
        release(self.policy, standing, self.cause.now_ms)
        decision = self._decide(Action.ALLOW, simulated, expires_ms=standing.expires_ms, reasons=[])
        standing.decision_id = decision.decision_id
        return decision

    def _decide(
        self,
        action: Action,
        simulated: bool,
        *,
        expires_ms: int,
        reasons: list[Reason],
        counterfactual: str | UnsetType = UNSET,
        limit: Limit | UnsetType = UNSET,
        budget: Budget | UnsetType = UNSET,
    ) -> Decision:
        subject, state, cause = self.subject, self.state, self.cause
        rule = reasons[0].code if reasons else "cooled_down"
        state.overrides.pop(subject.key, None)
        state.revision = max(state.revision + 1, cause.offset)
        return Decision(
            decision_id=decision_id(subject.key, rule, action, cause.newest_pane),
            scope=subject.scope,
            subject=subject.text,
            tenant_id=subject.tenant_id,
            account_id=UNSET if subject.account_id is None else subject.account_id,
            action=action,
            simulated=simulated,
            origin="detector",
            reasons=reasons,
            counterfactual=counterfactual,
            limit=limit,
            evidence=evidence(cause, _panes(state, cause.newest_pane)),
            policy=PolicyRef(self.policy.version, action),
            model=MODEL,
            issued_at=rfc3339(cause.now_ms),
            expires_at=rfc3339(expires_ms),
            revision=state.revision,
            supersedes=self.standing.decision_id if self.standing else UNSET,
            runbook_url=self.policy.runbook_url or UNSET,
            harm_budget=budget,
            listed=listing(state, self.policy, subject, cause.now_ms) if reasons else UNSET,
        )


def _panes(state: TenantState, newest: int) -> list[Pane]:
    panes = state.windows.panes
    return [panes[index] for index in sorted(panes) if newest - PANES < index <= newest]
