"""The form of a dossier for outsiders: no customer can be told from it, nor any card, device or address."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from math import floor, log10
from typing import Any

from stream_app.dossiers.methods import summary

#: Groups below this size are told by it alone: whoever knows one member must not learn of the others.
_FEW = 10
_NOTE = (
    "This form is for readers outside: accounts and shared values stand under pseudonyms that mean nothing beyond this "
    "document, counts are rounded to tens and at least ten, times to the hour. Offsets, and the single "
    "records of the chain, are in the full form, whose chain has the same head."
)


class Pseudonyms:
    """Names for this document alone, by a key that nobody keeps; the same value always gets the same one."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: str, value: str) -> str:
        """Such as ``account-3f2a91c04b7d``."""
        text = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return f"{kind}-{blake2b(text, digest_size=6, key=self._key).hexdigest()}"


def redact(document: Mapping[str, Any], names: Pseudonyms) -> dict[str, Any]:
    """A document for outsiders, built from what may be told: a field that is new is left out until it is named here."""
    campaign = document["campaign"]
    feedback = campaign.get("feedback")
    is_large = document["size"]["members"] >= _FEW
    header = {name: campaign[name] for name in ("kind", "status", "confidence")}
    header |= {name: _hour(campaign.get(name)) for name in ("first_alert_time", "confirmed_time")}
    header |= {"aliases": []}
    if taken := campaign.get("tokens_taken"):
        header["tokens_taken"] = rounded(taken)
    if feedback:
        header["feedback"] = {"is_confirmed": feedback["is_confirmed"], "at": _hour(feedback["at"])}
    content = {
        **{name: document[name] for name in ("format", "made_at", "made_by", "methods", "counterfactual", "models")},
        "form": "redacted",
        "campaign_id": names.of("campaign", document["campaign_id"]),
        "campaign": header,
        "proofs": [_proof(proof) for proof in document["proofs"]],
        "said": [],
        "links": [_link(link, names) for link in document["links"]],
        "size": {name: rounded(count) for name, count in document["size"].items()},
        "members": [_member(member, names) for member in document["members"]] if is_large else [],
        "decisions": _decisions(document["decisions"]),
        "effect": _effect(document["effect"]),
        "load": _load(document["load"]),
        "offsets": [],
        "policies": [],
        "notes": [_NOTE],
        "chain": {"start": document["chain"]["head"], "records": [], "head": document["chain"]["head"]},
        "timeline": [{"time": _hour(one["time"]), "what": one["what"]} for one in document["timeline"]],
    }
    return content | {"summary": summary(content)}


def rounded(count: int) -> int:
    """A count in tens, of two digits at most, and of at least ten unless it is none."""
    if count <= 0:
        return 0
    unit = int(10 ** max(floor(log10(count)) - 1, 1))
    return max(round(count / unit) * unit, _FEW)


def _in_fives(count: int) -> int:
    """A count of a series, where ten instead of one would change the picture."""
    return 5 * round(count / 5)


def _hour(time: str | None) -> str | None:
    return None if time is None else datetime.fromisoformat(time).replace(minute=0, second=0, microsecond=0).isoformat()


def _proof(proof: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: proof[name] for name in ("group", "name", "is_pool")}
    return kept | {
        "nats": round(proof["nats"]),
        "control_nats": round(proof["control_nats"]),
        "members": rounded(round(proof["members"])),
    }


def _link(link: Mapping[str, Any], names: Pseudonyms) -> dict[str, Any]:
    times = link["times"]
    return {
        "kind": link["kind"],
        "name": names.of("value", f"{link['kind']}\0{link['name']}"),
        "members": rounded(link["members"]),
        "others": rounded(link["others"]),
        "times": None if times is None else float(f"{times:.1g}"),
    }


def _member(member: Mapping[str, Any], names: Pseudonyms) -> dict[str, Any]:
    return {
        "tenant_id": names.of("account", member["tenant_id"]),
        "posterior": min(round(member["posterior"], 2), 0.99),
        "role": member["role"],
        "joined_at": _hour(member["joined_at"]),
        "denied_at": _hour(member["denied_at"]),
        "nats": {group: float(round(nats)) for group, nats in member["nats"].items()},
    }


def _decisions(decisions: Mapping[str, Any]) -> dict[str, Any]:
    hours: dict[str, dict[str, int]] = {}
    for time, made in decisions["decided"].items():
        slot = hours.setdefault(str(_hour(time)), {})
        for action, count in made.items():
            slot[action] = slot.get(action, 0) + count
    return {
        **{name: rounded(decisions[name]) for name in ("total", "simulated", "denied")},
        "by_action": {action: rounded(count) for action, count in decisions["by_action"].items()},
        "first_time": _hour(decisions["first_time"]),
        "last_time": _hour(decisions["last_time"]),
        "decided": {hour: {action: _in_fives(count) for action, count in made.items()} for hour, made in hours.items()},
    }


def _effect(effect: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if effect is None:
        return None
    rates = [f"{counted}_per_hour_{when}" for counted in ("requests", "tokens") for when in ("before", "after")]
    told = {name: None if effect[name] is None else rounded(round(effect[name])) for name in rates}
    return told | {"first_denial": _hour(effect["first_denial"]), "is_simulated": effect["is_simulated"]}


def _load(load: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if load is None:
        return None
    counts = {name: [_in_fives(count) for count in load[name]] for name in ("requests", "appeared")}
    counts["tokens"] = [rounded(count) for count in load["tokens"]]
    return {"start": load["start"], "step_s": load["step_s"], "tenants": rounded(load["tenants"])} | counts
