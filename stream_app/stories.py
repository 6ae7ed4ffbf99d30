"""A decision told in words: what was seen, what is usual, what follows and where the evidence lies."""

import re
from collections.abc import Sequence
from math import log

from msgspec import UNSET, Struct

from stream_app.detection.decisions import Action, Decision, Reason, decision_id, split_key
from stream_app.detection.features import CODES, FEATURES, Feature
from stream_app.detection.operators import OperatorRecord
from stream_app.detection.policy import Policy
from stream_app.memberships import (
    SCOPES,
    campaign_because,
    campaign_points,
    campaign_rules,
    group_name,
    is_membership,
    is_shared_value,
    look_further,
    member_otherwise,
    weight,
)
from stream_app.particulars import Point, circumstances, consequence, evidence_points, life, origin, policy_lines
from stream_app.quantities import RAREST, clock, duration, how_rare, number, printable

#: Features by code without window, those in percent with % or a place for the number; other codes by their unit.
_WORDS = {
    "requests": "requests",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "errors": "failed requests",
    "input_per_request": "input tokens per request",
    "output_per_request": "output tokens per request",
    "errors_percent": "% failed requests",
    "accounts": "distinct accounts",
    "model_shift_percent": "% requests to unusual models",
    "provider_errors_percent": "% requests that the provider failed, beyond what it failed others",
    "latency_percent": "latency {} of the others'",
    "output_per_input_percent": "output tokens {} of input tokens",
    "output_of_max_percent": "output tokens {} of what was allowed",
    "reasoning_per_request": "reasoning tokens per request",
    "refused_percent": "% requests that the model refused",
    "prefixes": "distinct address prefixes",
    "ja4s": "distinct client fingerprints",
    "templates": "distinct prompt skeletons",
    "parameter_sets": "combinations of temperature and n",
    "logprobs_percent": "% requests for log probabilities",
    "repeated_prompts_percent": "% prompts that are nearly the same",
    "jailbreak_percent": "jailbreak score {} above noise",
    "cot_elicitation_percent": "score for eliciting reasoning {} above noise",
    "growth_percent": "requests {} of those a week before",
    "attacks": "edits of one prompt, refused or with an elevated score",
    "refused_retries": "retries of a refused prompt",
    "surge": "requests, against the level of the last activity",
    "account_surge": "requests of the busiest account, against the level of its last activity",
}
_LEVEL = re.compile(r"\b(\w+) ≤ (\d+(?:\.\d+)?)")


class Background(Struct, frozen=True):
    """What is known around a decision, as far as it is.

    ``policy`` is the one it was made by, ``word`` the operator record that it follows; ``before`` and ``after`` are the
    subject's decisions next to it.
    """

    policy: Policy | None = None
    word: OperatorRecord | None = None
    before: Decision | None = None
    after: Decision | None = None


_UNKNOWN = Background()


def tell(decision: Decision, background: Background = _UNKNOWN) -> str:
    """The whole story as lines for a terminal: headline first, then one labelled line per point."""
    told = points(decision, background)
    width = max(len(point.label) for point in told)
    return "\n".join([headline(decision), "", *(f"{point.label:<{width}}  {point.text}" for point in told)])


def headline(decision: Decision) -> str:
    """One line: who, what, and the reason that carried most."""
    action = f"{decision.action}{' (simulated)' if decision.simulated else ''}"
    return f"{subject_name(decision)}: {action}{_because_of(decision)}"


def _because_of(decision: Decision) -> str:
    because = campaign_because(decision) or (seen(decision.reasons[0]) if decision.reasons else "")
    return f": {because}" if because else ""


def points(decision: Decision, background: Background = _UNKNOWN) -> list[Point]:
    """Every part of the story that the decision has something to say on, most important first."""
    told = [Point("Decision", consequence(decision)), *_reasons(decision, background)]
    if decision.scope == "account":
        told.append(
            Point("Account", "it alone is beyond what its tenant usually does; the tenant's others are left alone")
        )
    if decision.counterfactual:
        told.append(Point("Otherwise", otherwise(decision)))
    told += circumstances(decision)
    told.append(Point("Lasts", life(decision)))
    told += _neighbours(decision, background)
    told.append(Point("Decided by", origin(decision)))
    if decision.origin == "detector" and background.policy:
        told += campaign_rules(decision) or policy_lines(decision, background.policy)
    if decision.evidence is not UNSET:
        told += evidence_points(decision.evidence)
    for label, text in (
        ("Campaign", look_further(decision) if decision.campaign_id else UNSET),
        ("Replaces", decision.supersedes),
        ("Runbook", decision.runbook_url),
    ):
        if text:
            told.append(Point(label, printable(text)))
    told.append(Point("Id", f"{printable(decision.decision_id)}, revision {decision.revision}"))
    return told


def follows(decision: Decision, record: OperatorRecord) -> bool:
    """Whether an operator's decision is the one that a record asks for."""
    at_ms = round(record.at.timestamp() * 1000)
    return decision.decision_id == decision_id(decision.key, record.id, decision.action, at_ms)


def shares(reasons: Sequence[Reason]) -> list[float]:
    """How much each reason carried: its share, 0..1, of all surprise (minus the logarithm of its tail probability)."""
    surprises = [-log(max(1.0 - reason.score, 1.0 / RAREST)) for reason in reasons]
    return [surprise / (sum(surprises) or 1.0) for surprise in surprises]


def otherwise(decision: Decision) -> str:
    """What would have had to be different, in words where they are known."""
    return member_otherwise(decision) if is_membership(decision) else levels_told(str(decision.counterfactual))


def levels_told(counterfactual: str) -> str:
    """The levels at which the decision would not have been made, in words where the features are known."""
    levels = _LEVEL.findall(counterfactual)
    if not levels or any(code not in CODES for code, _ in levels):
        return f"it {printable(counterfactual)}"
    windows = {_in_window(code) for code, _ in levels}
    told = [f"{_measured(code, float(value), limited='at most ')}{_in_window(code)}" for code, value in levels]
    if len(windows) == 1:
        told = [one.removesuffix(*windows) for one in told]
        told[-1] += windows.pop()
    listed = f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else told[0]
    return f"with {listed} this would not have been decided"


def track_title(feature: Feature) -> str:
    """A plot's title, such as ``Requests in 60 s``."""
    words = _WORDS.get(feature.code.rpartition("_")[0], f"{feature.unit} ({feature.code})")
    name = f"{words.removeprefix('% ').replace('{} ', '')}, percent" if _is_share(words) else words
    window = f"in {duration(feature.window_s)}"
    busiest = ", the busiest of each minute" if feature.window_s < 60 else ""
    return f"{name[0].upper()}{name[1:]} {window}{busiest}"


def subject_name(decision: Decision) -> str:
    """Scope and decoded subject, with nothing in it that a terminal would obey."""
    scope, parts = split_key(decision.key)
    if scope == "account" and len(parts) == 2:
        return printable(f"account {parts[1]} of tenant {parts[0]}")
    return printable(f"{SCOPES.get(scope, scope)} {'/'.join(parts)}")


def seen(reason: Reason) -> str:
    """What was seen and what is usual, such as ``612 requests in 60 s, 17 times the usual 35``."""
    if reason.unit == "nats":
        return f"shared {group_name(reason)}, {weight(reason)}"
    window = f" in {duration(reason.window_s)}" if reason.window_s else ""
    return f"{_measured(reason.code, reason.observed, reason.unit)}{window}, {_compared(reason)}"


def _measured(code: str, value: float, unit: str = "", limited: str = "") -> str:
    """A value in words; ``limited`` goes right before the number."""
    words = _WORDS.get(code.rpartition("_")[0])
    if words is None:
        return f"{limited}{number(value)} {printable(unit)} ({printable(code)})"
    if "{}" in words:
        return words.format(f"{limited}{number(value)}%")
    return f"{limited}{number(value)}{'' if words[0] == '%' else ' '}{words}"


def _is_share(words: str) -> bool:
    return words[0] == "%" or "{}" in words


def _in_window(code: str) -> str:
    return f" in {duration(FEATURES[CODES.index(code)].window_s)}"


def _compared(reason: Reason) -> str:
    observed, expected = reason.observed, reason.expected
    if reason.compared_with is not UNSET:
        most = f"{number(expected)} or less" if expected > 0 else "none"
        return f"half of all {printable(reason.compared_with)} begin with {most}"
    if expected <= 0:
        return "none is usual"
    times = observed / expected
    if times < 1.05:
        return f"usual is {number(expected)}"
    return (
        f"{times:,.0f} times the usual {number(expected)}"
        if times >= 10
        else (f"{times:.1f} times the usual {number(expected)}")
    )


def _reasons(decision: Decision, background: Background) -> list[Point]:
    if not decision.reasons:
        return [Point("Reason", _reason_without_scores(decision, background))]
    if told := campaign_points(decision):
        return told
    carried = shares(decision.reasons)
    told = []
    for place, (reason, share) in enumerate(zip(decision.reasons, carried, strict=True)):
        told.append(Point("Also" if place else "Main reason", _told(reason, share)))
    return told


def _told(reason: Reason, share: float) -> str:
    weight = f"; {share:.0%} of the score" if share < 1 else ""
    return f"{seen(reason)}; {how_rare(reason.score, reason.compared_with)}{weight}"


def _reason_without_scores(decision: Decision, background: Background) -> str:
    if decision.origin == "detector" and decision.action is Action.ALLOW:
        if is_shared_value(decision):
            return "its campaign's act set shares it no longer, too many others carry it, or the policy says so"
        if background.before is not None and background.before.campaign_id:
            return "its campaign holds it no longer, and nothing else did for the whole cool-down"
        return "back within the usual range for the whole cool-down"
    if (word := background.word) is not None:
        return printable(f"{word.type} by {word.by}: {word.reason}")
    return f"the word of the {printable(decision.origin)}, not a score"


def _neighbours(decision: Decision, background: Background) -> list[Point]:
    told = []
    if (before := background.before) is not None:
        label = (
            "Ends" if decision.action is Action.ALLOW else "Renews" if before.action is decision.action else "Before"
        )
        told.append(Point(label, _moment(before)))
    if (after := background.after) is not None:
        told.append(Point("After", _moment(after)))
    return told


def _moment(decision: Decision) -> str:
    because = _because_of(decision)
    by = "" if decision.origin == "detector" else f" by the {printable(decision.origin)}"
    return f"{decision.action}{by} at {clock(decision.issued_at)}{because} ({printable(decision.decision_id)})"
