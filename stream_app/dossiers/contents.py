"""The document of a dossier: one value that every form of it, on screen, on paper or for a program, is made from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from stream_app import __version__
from stream_app.detection.decisions import Action, Decision, Subject
from stream_app.dossiers.chains import Entry, chain
from stream_app.dossiers.methods import METHODS, summary
from stream_app.memberships import GROUPS
from stream_app.plots.campaigns import shared_values
from stream_app.plots.loads import Actions, Load
from stream_app.plots.times import MINUTE_S, epoch_s
from stream_app.reports.dossiers import counterfactual, evidence

FORMAT = "stillwatch dossier 1"
#: Load is compared over so long before and after the first denial: a whole day on both sides has the same hours.
_COMPARED_S = 86_400
_HEADER = (
    *("kind", "status", "confidence", "first_alert_time", "confirmed_time", "aliases", "feedback"),
    "tokens_taken",
)


class Sources(Struct, frozen=True):
    """What a dossier is made from; ``log`` holds the records about the campaign and the decisions made for it."""

    campaign: Mapping[str, Any]
    decisions: Sequence[Decision]
    log: Sequence[Entry]
    load: Load | None
    notes: Sequence[str] = ()


def compose(sources: Sources, made_at: datetime) -> dict[str, Any]:
    """Everything that is known, with nothing left out; JSON types only."""
    campaign, decisions = sources.campaign, sources.decisions
    actions = Actions()
    for decision in decisions:
        actions.add(decision)
    content = {
        "format": FORMAT,
        "form": "full",
        "made_at": made_at.isoformat(timespec="seconds"),
        "made_by": f"stillwatch {__version__}",
        "campaign_id": campaign["campaign_id"],
        "campaign": {name: campaign[name] for name in _HEADER if name in campaign},
        "proofs": [
            proof | {"name": GROUPS[proof["group"]], "is_pool": proof["group"] in campaign["pooled"]}
            for proof in campaign["evidence"]
        ],
        "said": evidence(campaign)[len(campaign["evidence"]) :],
        "links": _links(campaign, sources.load),
        "size": _size(campaign["members"]),
        "members": _members(campaign, actions),
        "counterfactual": counterfactual(campaign),
        "methods": list(METHODS),
        "decisions": _decisions(decisions, actions),
        "effect": _effect(sources.load, actions),
        "load": None if sources.load is None else msgspec.to_builtins(sources.load),
        "offsets": _offsets(decisions),
        "policies": _versions(f"{one.policy.version}" for one in decisions),
        "models": _versions(f"{one.model.name} {one.model.version}" for one in decisions if one.model is not UNSET),
        "notes": list(sources.notes),
        "chain": chain(sources.log),
    }
    return content | {"timeline": _timeline(content), "summary": summary(content)}


def _links(campaign: Mapping[str, Any], load: Load | None) -> list[dict[str, Any]]:
    values = shared_values(campaign, load.tenants if load else 0)
    return [one._asdict() for one in values]


def _members(campaign: Mapping[str, Any], actions: Actions) -> list[dict[str, Any]]:
    found = []
    for member in campaign["members"]:
        kept = {name: member[name] for name in ("tenant_id", "posterior", "role", "joined_at", "nats")}
        minute = actions.denied.get(Subject(member["tenant_id"]).key)
        found.append(kept | {"denied_at": None if minute is None else _time(minute)})
    return found


def _size(members: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Members, those of them to act on, and those of these to block."""
    roles = Counter(member["role"] for member in members)
    return {"members": len(members), "act": roles["act"] + roles["block"], "block": roles["block"]}


def _time(minute: int) -> str:
    return datetime.fromtimestamp(minute * MINUTE_S, UTC).isoformat()


def _decisions(decisions: Sequence[Decision], actions: Actions) -> dict[str, Any]:
    times = sorted(one.issued_at for one in decisions)
    return {
        "total": len(decisions),
        "simulated": actions.simulated,
        "by_action": {action.value: actions.counts[action] for action in Action if actions.counts[action]},
        "denied": len(actions.denied),
        "first_time": times[0] if times else None,
        "last_time": times[-1] if times else None,
        "decided": {_time(minute): _plain(made) for minute, made in sorted(actions.decided.items())},
    }


def _plain(made: Counter[Action]) -> dict[str, int]:
    return {action.value: made[action] for action in Action if made[action]}


def _effect(load: Load | None, actions: Actions) -> dict[str, Any] | None:
    """Requests and tokens of all members an hour before the first of them was denied anything, and after."""
    if load is None or not actions.denied:
        return None
    at_s = min(actions.denied.values()) * MINUTE_S
    first = (at_s - epoch_s(load.start)) / load.step_s
    slices, places = _COMPARED_S / load.step_s, range(len(load.requests))
    before = [place for place in places if first - slices <= place < first]
    after = [place for place in places if first <= place < first + slices]
    return {
        "first_denial": _time(at_s // MINUTE_S),
        "requests_per_hour_before": _per_hour(load.requests, before, load.step_s),
        "requests_per_hour_after": _per_hour(load.requests, after, load.step_s),
        "tokens_per_hour_before": _per_hour(load.tokens, before, load.step_s),
        "tokens_per_hour_after": _per_hour(load.tokens, after, load.step_s),
        "is_simulated": bool(actions.simulated),
    }


def _per_hour(counts: Sequence[int], places: Sequence[int], step_s: int) -> float | None:
    """What these slices held, an hour; ``None`` when there are none, or nobody counted."""
    if not counts or not places:
        return None
    return round(sum(counts[place] for place in places) * 3600 / (len(places) * step_s), 1)


def _offsets(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """Runs of offsets that hold the decisions' evidence, those that touch put together."""
    runs = sorted(
        (source.topic, source.partition, source.first_offset, source.last_offset)
        for one in decisions
        if one.evidence is not UNSET
        for source in one.evidence.sources
    )
    found: list[dict[str, Any]] = []
    for topic, partition, first, last in runs:
        before = found[-1] if found else None
        if before and (before["topic"], before["partition"]) == (topic, partition) and first <= before["last"] + 1:
            before["last"] = max(before["last"], last)
        else:
            found.append({"topic": topic, "partition": partition, "first": first, "last": last})
    return found


def _versions(named: Iterable[str]) -> list[str]:
    return sorted(set(named))


def _timeline(content: Mapping[str, Any]) -> list[dict[str, str]]:
    campaign, decisions, effect = content["campaign"], content["decisions"], content["effect"]
    joined = sorted(member["joined_at"] for member in content["members"])
    feedback = campaign.get("feedback")
    moments = [
        (campaign["first_alert_time"], "first alert"),
        (campaign.get("confirmed_time"), "confirmed by the detector"),
        (joined[0] if joined else None, "first member recognised"),
        (joined[len(joined) // 2] if joined else None, "half of the members recognised"),
        (joined[-1] if joined else None, "last member recognised"),
        (decisions["first_time"], "first decision for the campaign"),
        (effect and effect["first_denial"], "first member denied anything"),
        (decisions["last_time"], "last decision so far"),
        (feedback and feedback["at"], _verdict(feedback)),
    ]
    told = sorted((epoch_s(time), time, what) for time, what in moments if time)
    return [{"time": time, "what": what} for _, time, what in told]


def _verdict(feedback: Mapping[str, Any] | None) -> str:
    return "confirmed by a person" if feedback and feedback["is_confirmed"] else "dismissed by a person"
