"""A decision for a campaign in words: what ties its member to the others, or who carries the value that they share."""

from math import exp

from msgspec import UNSET

from stream_app.detection.campaigns.links import KINDS
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
#: The group of links that each kind of shared value belongs to.
KIND_GROUPS = {kind.name: kind.group for kind in KINDS}
#: Scopes of values that members share, in words.
SCOPES = {"payment_fp": "payment instrument", "signup_fp": "signup device", "ip_prefix": "address prefix"}
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


def is_shared_value(decision: Decision) -> bool:
    """Whether a decision is about a value that a campaign's members share."""
    return decision.scope in SCOPES


def value_headline(decision: Decision) -> str:
    """Why it was made, in a few words."""
    carriers = {reason.code: reason.observed for reason in decision.reasons}
    members, others = carriers.get("link_members", 0.0), carriers.get("link_outsiders", 0.0)
    elsewhere = f"{number(others)} other tenant{'' if others == 1 else 's'}" if others else "by nobody else"
    return f"carried by {number(members)} accounts to act on of campaign {_campaign(decision)}, and {elsewhere}"


def value_points(decision: Decision) -> list[Point]:
    """Who carries the value, and what follows."""
    told = value_headline(decision)
    return [Point("Main reason", f"{told}; whoever comes with it is met at the first request")]


def _campaign(decision: Decision) -> str:
    return printable(str(decision.campaign_id))


def campaign_because(decision: Decision) -> str:
    """Why a decision was made for a campaign, in a few words; empty for any other."""
    if is_membership(decision):
        return member_headline(decision)
    return value_headline(decision) if is_shared_value(decision) and decision.reasons else ""


def campaign_points(decision: Decision) -> list[Point]:
    """The reasons of a decision that was made for a campaign; none for any other."""
    if is_membership(decision):
        return member_points(decision)
    return value_points(decision) if is_shared_value(decision) else []


def member_headline(decision: Decision) -> str:
    """Why it was made, in a few words."""
    strongest = group_name(decision.reasons[0])
    return f"member of campaign {_campaign(decision)}, above all by shared {strongest}"


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
    name, sure = _campaign(decision), certainty(decision.reasons[0].score)
    told = [Point("Member", f"of campaign {name} with probability {sure}")]
    for place, reason in enumerate(decision.reasons):
        told.append(Point("Also" if place else "Main reason", f"shares {group_name(reason)} with it: {weight(reason)}"))
    return told


def member_otherwise(decision: Decision) -> str:
    """What would have had to be different."""
    names = [group_name(reason) for reason in decision.reasons]
    listed = f"neither {', '.join(names[:-1])} nor {names[-1]}" if len(names) > 1 else f"no {names[0]}"
    return f"had it shared {listed} with the campaign, this would not have been decided"


def campaign_rules(decision: Decision) -> list[Point]:
    """By which rule the rung of a decision for a campaign was chosen; none for any other."""
    if is_shared_value(decision) or is_membership(decision):
        return [Point("Rule", _rule(decision))]
    return []


def _rule(decision: Decision) -> str:
    rung = decision.policy.rung
    if is_shared_value(decision):
        return f"links: {decision.scope} may be answered by {printable(rung)}; told anew every hour while that holds"
    part = _PARTS.get(Action(rung), "is for its members")
    return f"rung {printable(rung)} {part}; told anew every hour as long as the campaign's verdict holds"


def look_further(decision: Decision) -> str:
    """Where the evidence lies: with the campaign, not with one member."""
    name = _campaign(decision)
    return f"{name}; stillwatch campaigns show {name} tells what its members share"
