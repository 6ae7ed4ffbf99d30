"""A decision told in words: what was seen, what is usual, what follows and where the evidence lies."""

from datetime import datetime
from typing import NamedTuple

from msgspec import UNSET

from stream_app.detection.decisions import Action, Decision, Evidence, Limit, Reason, split_key

#: Features by code without window; other codes are told by their unit.
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
    "latency_percent": "% of the others' latency",
    "output_per_input_percent": "% output tokens of input tokens",
    "output_of_max_percent": "% output tokens of what was allowed",
    "reasoning_per_request": "reasoning tokens per request",
    "refused_percent": "% requests that the model refused",
    "prefixes": "distinct address prefixes",
    "ja4s": "distinct client fingerprints",
    "templates": "distinct prompt skeletons",
    "parameter_sets": "combinations of temperature and n",
    "logprobs_percent": "% requests for log probabilities",
    "repeated_prompts_percent": "% prompts that are nearly the same",
    "jailbreak_percent": "% of the jailbreak score above noise",
    "cot_elicitation_percent": "% of the score for eliciting reasoning above noise",
}
_CONSEQUENCES = {
    Action.ALLOW: "nothing is denied",
    Action.OBSERVE: "nothing is denied; a person should look",
    Action.CHALLENGE: "the subject must prove itself before it is served",
    Action.BLOCK: "every request is denied",
}
_UNITS_S = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
#: Below this score a rarity in words would sound more certain than it is.
_TELLING_SCORE = 0.9
#: Scores are rounded to nine decimals in a decision; beyond that nothing can be told apart.
_RAREST = 1_000_000_000


class Point(NamedTuple):
    """One labelled sentence of a story."""

    label: str
    text: str


def tell(decision: Decision) -> str:
    """The whole story as lines for a terminal: headline first, then one labelled line per point."""
    told = points(decision)
    width = max(len(point.label) for point in told)
    return "\n".join([headline(decision), "", *(f"{point.label:<{width}}  {point.text}" for point in told)])


def headline(decision: Decision) -> str:
    """One line: who, what, and the reason that carried most."""
    action = f"{decision.action}{' (simulated)' if decision.simulated else ''}"
    because = f": {seen(decision.reasons[0])}" if decision.reasons else ""
    return f"{subject_name(decision)}: {action}{because}"


def points(decision: Decision) -> list[Point]:
    """Every part of the story that the decision has something to say on, most important first."""
    told = [Point("Decision", _action(decision))]
    for place, reason in enumerate(decision.reasons):
        told.append(Point("Also" if place else "Main reason", _because(reason)))
    if not decision.reasons:
        told.append(Point("Reason", _reason_without_scores(decision)))
    if decision.counterfactual:
        told.append(Point("Otherwise", f"it {_printable(decision.counterfactual)}"))
    told += [Point("Lasts", _life(decision)), Point("Decided by", _origin(decision))]
    if decision.evidence is not UNSET:
        told += _evidence(decision.evidence)
    for label, text in (
        ("Campaign", decision.campaign_id),
        ("Replaces", decision.supersedes),
        ("Runbook", decision.runbook_url),
    ):
        if text:
            told.append(Point(label, _printable(text)))
    told.append(Point("Id", f"{_printable(decision.decision_id)}, revision {decision.revision}"))
    return told


def subject_name(decision: Decision) -> str:
    """Scope and decoded subject, with nothing in it that a terminal would obey."""
    scope, parts = split_key(decision.key)
    return _printable(f"{scope} {'/'.join(parts)}")


def _because(reason: Reason) -> str:
    if reason.unit == "nats":
        return f"{seen(reason)}; member with probability {reason.score:.4f}"
    return f"{seen(reason)}; {rarity(reason.score)}"


def seen(reason: Reason) -> str:
    """What was seen and what is usual, such as ``612 requests in 60 s, 17 times the usual 35``."""
    if reason.unit == "nats":
        return (
            f"{number(reason.observed)} nats of evidence by shared {_printable(reason.code.removeprefix('campaign_'))}"
        )
    words = _WORDS.get(reason.code.rpartition("_")[0])
    measured = words or f"{_printable(reason.unit)} ({_printable(reason.code)})"
    text = f"{number(reason.observed)} {measured}" if measured[0] != "%" else f"{number(reason.observed)}{measured}"
    window = f" in {duration(reason.window_s)}" if reason.window_s else ""
    return f"{text}{window}, {_compared(reason)}"


def rarity(score: float) -> str:
    """A score in words: how few ordinary windows of the subject get that far."""
    if score < _TELLING_SCORE:
        return f"score {score:.2f}"
    windows = min(1 / (1 - score), _RAREST) if score < 1 else _RAREST
    if windows >= _RAREST:
        return "fewer than one ordinary window in a billion gets that far"
    return f"one ordinary window in {float(f'{windows:.2g}'):,.0f} gets that far"


def number(value: float) -> str:
    """A measured value: whole from 100 on, else to one decimal if that is not zero."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")


def duration(seconds: float) -> str:
    """Seconds in the two largest units: ``15 min``, ``1 h 30 min``; up to two minutes in seconds alone."""
    left = round(seconds)
    if left <= 120:
        return f"{left} s"
    parts = []
    for size, unit in _UNITS_S:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def clock(time: str) -> str:
    """RFC 3339 in UTC as ``2025-06-02 14:58:10 UTC``."""
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M:%S UTC")


def _compared(reason: Reason) -> str:
    observed, expected = reason.observed, reason.expected
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


def _action(decision: Decision) -> str:
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


def _reason_without_scores(decision: Decision) -> str:
    if decision.origin == "detector" and decision.action is Action.ALLOW:
        return "back within the usual range for the whole cool-down"
    return f"the word of the {_printable(decision.origin)}, not a score"


def _life(decision: Decision) -> str:
    issued, expires = datetime.fromisoformat(decision.issued_at), datetime.fromisoformat(decision.expires_at)
    life_s = (expires - issued).total_seconds()
    return f"{duration(life_s)}, from {clock(decision.issued_at)} to {clock(decision.expires_at)}"


def _origin(decision: Decision) -> str:
    model = f" ({decision.model.name} {decision.model.version})" if decision.model is not UNSET else ""
    policy = f"policy {decision.policy.version}, rung {decision.policy.rung}"
    return _printable(f"{decision.origin}{model}; {policy}")


def _evidence(evidence: Evidence) -> list[Point]:
    span = f"{clock(evidence.first_time)} to {clock(evidence.last_time)}"
    told = [Point("Evidence", f"{evidence.events:,} events, {span}")]
    for source in evidence.sources:
        place = f"topic {source.topic}, partition {source.partition}"
        told.append(Point("Found in", _printable(f"{place}, offsets {source.first_offset} to {source.last_offset}")))
    if evidence.sample_event_ids:
        told.append(Point("Examples", _printable(", ".join(evidence.sample_event_ids))))
    return told


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
