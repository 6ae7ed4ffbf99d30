"""A decision on a campaign's member in words: what ties it to the others, and how much that says."""

from math import exp

from msgspec import UNSET

from stream_app.detection.decisions import Action, Decision, Reason
from stream_app.particulars import Point
from stream_app.quantities import number, printable

#: What the groups of links are, in words.
GROUPS = {
    "payer": "payment instruments",
    "device": "signup devices",
    "network": "address prefixes",
    "client": "clients and how requests are made",
    "genesis": "hours of account creation",
    "content": "prompt skeletons",
}
_CODE = "campaign_"
#: Beyond it four digits say no more.
_SURE = 0.9999
#: Which part of a campaign's members a rung is for.
_PARTS = {
    Action.OBSERVE: "is for every member",
    Action.THROTTLE: "is the strictest that the policy has up to challenge, for the act set",
    Action.CHALLENGE: "is for the act set",
    Action.BLOCK: "is for the block set",
}


def is_membership(decision: Decision) -> bool:
    """Whether a decision was made because its subject belongs to a campaign."""
    return decision.campaign_id is not UNSET and any(reason.unit == "nats" for reason in decision.reasons)


def member_headline(decision: Decision) -> str:
    """Why it was made, in a few words."""
    strongest = group_name(decision.reasons[0])
    return f"member of campaign {printable(str(decision.campaign_id))}, above all by shared {strongest}"


def group_name(reason: Reason) -> str:
    """What a group of links is, in words."""
    group = reason.code.removeprefix(_CODE)
    return GROUPS.get(group, printable(group))


def weight(reason: Reason) -> str:
    """Nats, and how many times likelier that makes what was seen in the campaign than outside."""
    nats = f"{number(reason.observed)} nat{'' if reason.observed == 1 else 's'}"
    return f"{nats}, {number(float(f'{exp(reason.observed):.2g}'))} times likelier in the campaign than outside"


def certainty(probability: float) -> str:
    """A probability of membership; a rounded one is never certain."""
    return f"more than {_SURE}" if probability > _SURE else f"{probability:.4f}"


def member_points(decision: Decision) -> list[Point]:
    """The reasons of such a decision."""
    name, sure = printable(str(decision.campaign_id)), certainty(decision.reasons[0].score)
    told = [Point("Member", f"of campaign {name} with probability {sure}")]
    for place, reason in enumerate(decision.reasons):
        told.append(Point("Also" if place else "Main reason", f"shares {group_name(reason)} with it: {weight(reason)}"))
    return told


def member_otherwise(decision: Decision) -> str:
    """What would have had to be different."""
    names = [group_name(reason) for reason in decision.reasons]
    listed = f"neither {', '.join(names[:-1])} nor {names[-1]}" if len(names) > 1 else f"no {names[0]}"
    return f"had it shared {listed} with the campaign, this would not have been decided"


def member_rule(decision: Decision) -> str:
    """By which rule its rung was chosen."""
    rung = decision.policy.rung
    part = _PARTS.get(Action(rung), "is for its members")
    return f"rung {printable(rung)} {part}; told anew every hour as long as the campaign's verdict holds"


def look_further(decision: Decision) -> str:
    """Where the evidence lies: with the campaign, not with one member."""
    name = printable(str(decision.campaign_id))
    return f"{name}; stillwatch campaigns show {name} tells what its members share"
