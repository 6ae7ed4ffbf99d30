"""What the page and the paper of a dossier both show: title, the picture's series, and tables as rows of text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from stream_app.detection.decisions import Action
from stream_app.memberships import GROUPS, certainty
from stream_app.plots.campaigns import CampaignPlot
from stream_app.plots.loads import Actions, Load
from stream_app.plots.times import MINUTE_S
from stream_app.quantities import clock, number, printable

#: Members on the page and on paper, the surest first; all of them are in the document.
MAX_MEMBERS = 500
#: Records of the chain shown at its beginning and at its end.
_CHAIN_ENDS = 5


class Table(NamedTuple):
    """A heading, what precedes the rows, and the rows; each as long as there are columns."""

    title: str
    told: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def title(document: Mapping[str, Any]) -> str:
    """What stands on top."""
    form = " · redacted for readers outside" if document["form"] == "redacted" else ""
    return f"Dossier of campaign {document['campaign_id']}{form}"


def plot_of(document: Mapping[str, Any]) -> CampaignPlot:
    """The series of the dossier's picture, from the document alone."""
    campaign = {**document["campaign"], "members": document["members"], "values": []}
    load = None if document["load"] is None else msgspec.convert(document["load"], Load)
    return CampaignPlot(campaign, load, _actions(document))


def _actions(document: Mapping[str, Any]) -> Actions:
    told = document["decisions"]
    decided = {_minute(time): Counter(_by_action(made)) for time, made in told["decided"].items()}
    denied = {one["tenant_id"]: _minute(one["denied_at"]) for one in document["members"] if one["denied_at"]}
    return Actions(decided, denied, Counter(_by_action(told["by_action"])), told["simulated"])


def _by_action(made: Mapping[str, int]) -> dict[Action, int]:
    return {Action(name): count for name, count in made.items()}


def _minute(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp()) // MINUTE_S


def tables(document: Mapping[str, Any]) -> list[Table]:
    """Everything that is shown in rows, in order; those without rows are left out."""
    found = (_timeline, _proofs, _links, _members, _decisions, _offsets, _versions, _chain)
    return [table for table in (make(document) for make in found) if table.rows]


def _timeline(document: Mapping[str, Any]) -> Table:
    rows = [(clock(one["time"]), one["what"]) for one in document["timeline"]]
    return Table("Timeline", "Times are those of the requests, in UTC.", ("When", "What"), rows)


def _proofs(document: Mapping[str, Any]) -> Table:
    rows = [
        (
            one["name"] + (" (a pool of values)" if one["is_pool"] else ""),
            number(one["nats"]),
            number(one["control_nats"]),
            number(one["members"]),
        )
        for one in document["proofs"]
    ]
    told = "How much each kind of link weighs for the campaign as a whole, beside the best of the control groups."
    return Table("Evidence", told, ("What they share", "Nats", "Best control", "Brought by members"), rows)


def _links(document: Mapping[str, Any]) -> Table:
    rows = [
        (
            one["kind"],
            printable(one["name"]),
            number(one["members"]),
            number(one["others"]),
            _times(one["times"]),
        )
        for one in document["links"]
    ]
    told = (
        "Values that members share, the strongest first: by how many members and others, "
        "and how many times likelier a member carries one."
    )
    return Table("Links and their rarity", told, ("Kind", "Value", "Members", "Others", "Likelier"), rows)


def _times(times: float | None) -> str:
    return "" if times is None else f"{number(float(f'{times:.2g}'))} times"


def _members(document: Mapping[str, Any]) -> Table:
    rows = [_member(one) for one in document["members"][:MAX_MEMBERS]]
    left = len(document["members"]) - len(rows)
    told = "The surest first; nats by kind of link." + (f" {number(left)} more are in the document." if left else "")
    return Table("Members", told, ("Account", "Role", "Probability", "Since", "Denied since", "Nats"), rows)


def _member(one: Mapping[str, Any]) -> tuple[str, ...]:
    strongest = sorted(one["nats"].items(), key=lambda entry: -entry[1])
    return (
        printable(one["tenant_id"]),
        one["role"],
        certainty(one["posterior"]),
        _short(one["joined_at"]),
        _short(one["denied_at"]) if one["denied_at"] else "never",
        ", ".join(f"{printable(group)} {nats:+.1f}" for group, nats in strongest if abs(nats) >= 0.05),
    )


def _short(time: str) -> str:
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M")


def _decisions(document: Mapping[str, Any]) -> Table:
    told, effect = document["decisions"], document["effect"]
    rows = [(f"{action} (with renewals)", number(count)) for action, count in told["by_action"].items()]
    if rows:
        rows.append(("of these simulated, so not enforced", number(told["simulated"])))
        rows.append(("subjects denied something", number(told["denied"])))
    if effect:
        for counted, named in (("requests", "requests"), ("tokens", "output tokens")):
            for when in ("before", "after"):
                rate = effect.get(f"{counted}_per_hour_{when}")
                day = f"{named} an hour of all members, in the day {when} the first denial"
                rows.append((day, "not known" if rate is None else number(rate)))
    if taken := document["campaign"].get("tokens_taken"):
        rows.append(("output tokens that its members have taken in all", number(taken)))
    note = "What was decided for the campaign, and what became of what its members ask for and take."
    return Table("Decisions and their effect", note, ("What", "How many"), rows)


def _offsets(document: Mapping[str, Any]) -> Table:
    rows = [(one["topic"], str(one["partition"]), str(one["first"]), str(one["last"])) for one in document["offsets"]]
    told = "The records that the decisions rest on, both ends included; they can be read again while they are kept."
    return Table("Where the evidence lies", told, ("Topic", "Partition", "First offset", "Last offset"), rows)


def _versions(document: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = [("policy", name) for name in document["policies"]] + [
        ("model", name) for name in document["models"]
    ]
    return Table(
        "Versions", "By which rules and models.", ("What", "Version"), [*rows, ("program", document["made_by"])]
    )


def _chain(document: Mapping[str, Any]) -> Table:
    records = document["chain"]["records"]
    left = len(records) - 2 * _CHAIN_ENDS
    shown: list[tuple[str, ...]] = [(one["place"], one["sha256"], one["link"]) for one in records]
    if left > 0:
        shown = [*shown[:_CHAIN_ENDS], (f"{number(left)} more", "", ""), *shown[-_CHAIN_ENDS:]]
    told = "Every record of the logs about this campaign, each linked to the one before; the last link is the head."
    return Table("Chain of records", told, ("Record", "SHA-256", "Link"), shown)


def groups() -> str:
    """What the short names of kinds of links mean."""
    return "; ".join(f"{name}: {told}" for name, told in GROUPS.items())


def seal_lines(sealed: Mapping[str, Any]) -> list[str]:
    """How to tell that nothing was changed."""
    signature = sealed["signature"]
    key_id = signature.partition(":")[0] if signature else ""
    signed = f"Signed by key {key_id} (Ed25519)." if signature else "Not signed."
    return [
        f"Made {clock(sealed['dossier']['made_at'])} by {sealed['dossier']['made_by']}. {signed}",
        f"SHA-256 of the document: {sealed['sha256']}",
        f"Head of the chain of records: {sealed['dossier']['chain']['head']}",
        "This file holds the document itself; stillwatch dossier verify FILE says whether anything was changed.",
    ]
