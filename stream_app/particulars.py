"""What a decision says beside its reasons: what follows, how long, by whom, and on which evidence."""

from datetime import datetime
from typing import NamedTuple

from msgspec import UNSET

from stream_app.detection.bars import Bar
from stream_app.detection.decisions import Action, Decision, Evidence, Limit
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Circumstances
from stream_app.quantities import clock, duration, number, printable

_CONSEQUENCES = {
    Action.ALLOW: "nothing is denied",
    Action.OBSERVE: "nothing is denied; a person should look",
    Action.CHALLENGE: "the subject must prove itself before it is served",
    Action.BLOCK: "every request is denied",
}


class Point(NamedTuple):
    """One labelled sentence of a story."""

    label: str
    text: str


def consequence(decision: Decision) -> str:
    """What a decision means for its subject's requests."""
    if decision.action is Action.THROTTLE:
        follows = _limits(decision.limit) if decision.limit is not UNSET else "the provider's throttle applies"
    else:
        follows = _CONSEQUENCES[decision.action]
    return f"{decision.action}{' (simulated, so nothing was enforced)' if decision.simulated else ''}: {follows}"


def _limits(limit: Limit) -> str:
    rates = [
        f"{rate:,} {what}"
        for rate, what in ((limit.requests_per_minute, "requests"), (limit.tokens_per_minute, "tokens"))
        if rate is not UNSET
    ]
    return f"at most {' and '.join(rates)} a minute" if rates else "no rate is limited"


def life(decision: Decision) -> str:
    """How long it holds."""
    issued, expires = datetime.fromisoformat(decision.issued_at), datetime.fromisoformat(decision.expires_at)
    life_s = (expires - issued).total_seconds()
    return f"{duration(life_s)}, from {clock(decision.issued_at)} to {clock(decision.expires_at)}"


def origin(decision: Decision) -> str:
    """Who decided, and by which rules."""
    model = f" ({decision.model.name} {decision.model.version})" if decision.model is not UNSET else ""
    policy = f"policy {decision.policy.version}, rung {decision.policy.rung}"
    return printable(f"{decision.origin}{model}; {policy}")


def evidence_points(evidence: Evidence) -> list[Point]:
    """What it rests on, and where that lies."""
    span = f"{clock(evidence.first_time)} to {clock(evidence.last_time)}"
    told = [Point("Evidence", f"{evidence.events:,} events, {span}")]
    for source in evidence.sources:
        place = f"topic {source.topic}, partition {source.partition}"
        told.append(Point("Found in", printable(f"{place}, offsets {source.first_offset} to {source.last_offset}")))
    if evidence.sample_event_ids:
        told.append(Point("Examples", printable(", ".join(evidence.sample_event_ids))))
    return told


def circumstances(decision: Decision) -> list[Point]:
    """What made the decision another than the scores alone would: a list, or the harm budget."""
    told = []
    if (entry := decision.listed) is not UNSET:
        told.append(Point("Listed", printable(f"{entry.list}: {entry.reason}, until {clock(entry.until)}")))
    if (budget := decision.harm_budget) is not UNSET:
        used = f"{budget.used:,} of {budget.allowed:,} denials allowed in an hour are used"
        kept = "" if budget.withheld is UNSET else f"; {printable(budget.withheld)} was kept back"
        told.append(Point("Harm budget", f"{used}{kept}"))
    return told


def policy_lines(decision: Decision, policy: Policy) -> list[Point]:
    """The lines of the policy that spoke; nothing when they are another version's."""
    if policy.version != decision.policy.version:
        return []
    policy = policy.under(Circumstances(decision.tenant_id, is_watched=decision.listed is not UNSET))
    told = []
    for rung, rule in policy.ladder:
        if rung == decision.policy.rung:
            line = f"rung {rung}: entered from a score of {rule.enter:g} on, left below {rule.leave:g}"
            told.append(Point("Rule", f"{line}, for {duration(rule.ttl_s)} at first{_because(rule.reason)}"))
    for reason in decision.reasons:
        if feature := policy.features.get(reason.code):
            floor = number(feature.floor)
            if feature.small_floor is not None:
                floor += f", of a small tenant that is known from {number(feature.small_floor)} on"
            line = f"{reason.code}: counts above {floor}, up to {feature.up_to}"
            told.append(Point("Rule", f"{line}{_because(feature.reason)}"))
    if (together := policy.together) and _took_together(decision, policy):
        line = f"together: {together.kinds} different kinds of shape in the same window, up to {together.up_to}"
        told.append(Point("Rule", line))
    if together and any(reason.compared_with is not UNSET for reason in decision.reasons):
        enter = dict(policy.ladder)[decision.action].enter  # type: ignore[index]
        rare = 1.0 - Bar(decision.action, enter, simulated=False).together
        line = f"newcomers: {together.newcomer_kinds} kinds of shape at once, in the geometric mean as rare as"
        told.append(Point("Rule", f"{line} one newcomer in {1.0 / rare:,.0f}, up to observe"))
    return told


def _took_together(decision: Decision, policy: Policy) -> bool:
    """Whether none of the features might have gone as far alone."""
    highest = [policy.features[reason.code].up_to for reason in decision.reasons if reason.code in policy.features]
    return bool(highest) and all(rung.severity < decision.action.severity for rung in highest)


def _because(reason: str | None) -> str:
    return f" ({printable(reason)})" if reason else ""
