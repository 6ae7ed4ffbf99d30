"""A campaign's verdict on a tenant becomes a decision on the tenant's own ladder."""

from msgspec import UNSET

from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.verdicts import renewal_ms
from stream_app.detection.decisions import Action, Decision, ModelRef, PolicyRef, Reason, Subject, decision_id
from stream_app.detection.explanations import Cause, limit, rfc3339
from stream_app.detection.ladder import Standing, denied_since_ms, life
from stream_app.detection.lists import is_spared, listing, muted_until_ms
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Step
from stream_app.detection.rulings import judge
from stream_app.detection.state import TenantState
from stream_app.detection.windows import PANE_MS

MODEL = ModelRef("campaign_pool", "1")
#: How far each role may go. Members beyond the act set are only watched.
_HIGHEST = {Role.MEMBER: Action.OBSERVE, Role.ACT: Action.CHALLENGE, Role.BLOCK: Action.BLOCK}
#: A repetition comes with the first look after ``renewal_ms``, and looks are at most an hour apart.
_SPARE_MS = 2 * 3_600_000
#: Nats from which a group of links is named as a reason.
_NAMED_NATS = 1.0


def obey(tenant: Tenant, policy: Policy, verdict: Verdict, topic: str, partition: int) -> Decision | None:
    """Put a tenant on the rung that its role allows, or let it go; the decision that this takes, if any.

    An operator's word and the allow-list stand above it. The campaign was confirmed as one, so the wait between rungs
    does not apply. Whoever stands higher by its own doing stays there as long as that lasts; others go down with a role
    that has become milder. An ended verdict is the ladder's; one that a person has ended lets go at once, unless the
    tenant's own scores had a part in it. Decisions of a tenant are in order: a look is of a time that its ladder may
    have passed.
    """
    subject, state, standing = Subject(tenant.tenant_id), tenant.state, tenant.state.standing
    now_ms = max(verdict.at_ms, standing.since_ms, standing.released_ms) if standing else verdict.at_ms
    cause = Cause(topic, partition, max(state.last_offset, 0), now_ms, now_ms // PANE_MS)
    if verdict.role is None:
        if standing and standing.is_up:
            _shorten(standing, policy, cause.now_ms + (0 if verdict.is_dismissed else policy.cool_down_s * 1000))
            if verdict.is_dismissed and not standing.seen:
                return judge(subject, state, policy, [], cause)
        return None
    step = _step(policy, verdict)
    if step is None or cause.now_ms < muted_until_ms(state, policy, subject):
        return None
    if is_spared(state, subject, cause.now_ms):
        return None
    if standing and standing.is_up and standing.rung.severity > step.rung.severity and standing.seen:
        _shorten(standing, policy, cause.now_ms + policy.cool_down_s * 1000)
        return None
    return _enter(subject, state, policy, step, verdict, cause)


def hold_of(verdict: Verdict) -> int:
    """How long a verdict stands (milliseconds) unless it is repeated, changed or ended."""
    return renewal_ms(verdict) + _SPARE_MS


def _shorten(standing: Standing, policy: Policy, until_ms: int) -> None:
    """Let the ladder go down at ``until_ms``, unless the tenant's own scores hold it up."""
    standing.over_ms = min(standing.over_ms, until_ms - policy.cool_down_s * 1000)
    standing.wakes_ms = min(standing.wakes_ms, until_ms)


def _step(policy: Policy, verdict: Verdict) -> Step | None:
    assert verdict.role is not None  # noqa: S101
    highest = _HIGHEST[verdict.role]
    if verdict.kind is not CampaignKind.DISTILLATION:
        highest = min(highest, Action.CHALLENGE, key=lambda action: action.severity)
    return next((step for step in reversed(policy.steps) if step.rung.severity <= highest.severity), None)


def _enter(  # noqa: PLR0917
    subject: Subject, state: TenantState, policy: Policy, step: Step, verdict: Verdict, cause: Cause
) -> Decision:
    now_ms, standing = cause.now_ms, state.standing
    hold_ms = hold_of(verdict)
    ttl_ms, strikes = life(step.rule, standing, now_ms)
    expires_ms = now_ms + max(ttl_ms, hold_ms)
    state.revision = max(state.revision + 1, cause.offset)
    decision = Decision(
        decision_id=decision_id(subject.key, verdict.campaign_id, step.rung, now_ms),
        scope=subject.scope,
        subject=subject.text,
        tenant_id=subject.tenant_id,
        action=step.rung,
        simulated=step.simulated,
        origin="detector",
        reasons=_reasons(verdict),
        counterfactual=_counterfactual(verdict),
        limit=limit(state, policy, [], cause.minute) if step.rung is Action.THROTTLE else UNSET,
        campaign_id=verdict.campaign_id,
        policy=PolicyRef(policy.version, step.rung),
        model=MODEL,
        issued_at=rfc3339(now_ms),
        expires_at=rfc3339(expires_ms),
        revision=state.revision,
        supersedes=standing.decision_id if standing else UNSET,
        runbook_url=policy.runbook_url or UNSET,
        listed=listing(state, policy, subject, now_ms),
    )
    state.standing = Standing(
        rung=step.rung,
        since_ms=standing.since_ms if standing and standing.is_up else now_ms,
        over_ms=now_ms + hold_ms - policy.cool_down_s * 1000,
        expires_ms=expires_ms,
        strikes=strikes,
        decision_id=decision.decision_id,
        wakes_ms=now_ms + hold_ms,
        simulated=step.simulated,
        denied_ms=denied_since_ms(standing, step.rung, now_ms),
    )
    return decision


def _reasons(verdict: Verdict) -> list[Reason]:
    """The groups of links that tie the tenant to its campaign, strongest first; with none of its own, its company."""
    nats = sorted(verdict.nats.items(), key=lambda entry: (-entry[1], entry[0]))
    named = [(f"campaign_{group}", value) for group, value in nats if value >= _NAMED_NATS]
    named = named or [("campaign_links", max(sum(verdict.nats.values()), 0.0))]
    return [Reason(code, round(value, 2), 0.0, "nats", 0, verdict.posterior) for code, value in named]


def _counterfactual(verdict: Verdict) -> str:
    links = " and ".join(group for group, value in sorted(verdict.nats.items()) if value >= _NAMED_NATS)
    return f"would not have fired had the tenant not shared {links or 'anything'} with campaign {verdict.campaign_id}"
