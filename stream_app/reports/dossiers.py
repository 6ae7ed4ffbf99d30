"""A campaign told in words, from its line in ``campaigns.jsonl``."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from stream_app.memberships import GROUPS, certainty
from stream_app.plots.campaigns import shared_values
from stream_app.quantities import clock, printable

#: Less would be rounded to nothing.
_TOLD_NATS = 0.05
_EXPLANATIONS = {
    "one_payer": "one payment instrument dominates: it may be one customer with many accounts",
    "one_device": "one signup device dominates: it may be one integrator",
    "several_customers": "only those with one card, device or network ask alike: they may be several customers",
    "one_program": "a system prompt or two dominate: it may be one popular program",
    "one_site": "most come from a few networks: it may be one office, school or floor",
    "public_material": "other tenants sent the same prompts: it may be public material",
}
#: Why detection denies members of a confirmed campaign nothing, by what it lacks.
_BARS = {
    "no_content": "nothing tells what they are for: their prompts have too little in common",
    "partners": "partners saw a part of it, and here too little of it was seen",
    "no_links": "no pool of cards, devices or addresses, and what neighbours do not share, holds them together",
    "no_origin": "nothing says how all of their accounts came to be, and one customer's card or device is only its own",
    "organisation": "they come from a few sites or have a client of their own, and may be one organisation",
    "explained": "an ordinary explanation has stood for an hour",
}


def headline(campaign: Mapping[str, Any]) -> str:
    """One line: id, kind, status, size and since when."""
    roles = Counter(member["role"] for member in campaign["members"])
    acted = (
        f", {roles['act'] + roles['block']:,} to act on, {roles['block']:,} of them to block" if len(roles) > 1 else ""
    )
    return (
        f"{campaign['campaign_id']}  {campaign['status']} {campaign['kind']}, confidence {campaign['confidence']:.2f}: "
        f"{len(campaign['members']):,} members{acted}; first alert {clock(campaign['first_alert_time'])}"
    )


def story(campaign: Mapping[str, Any], most_members: int) -> str:
    """Headline, evidence, shared values and members, line by line."""
    tenants = (campaign.get("load") or {}).get("tenants", 0)
    lines = [headline(campaign), "", "Evidence (nats; the best control group in brackets)"]
    lines += [f"  {line}" for line in evidence(campaign)]
    lines += ["", "Shared values"]
    lines += [f"  {value.kind} {value.name}: {value.told}" for value in shared_values(campaign, tenants)]
    lines += ["", "The verdict would fall if", *(f"  {line}" for line in counterfactual(campaign))]
    lines += ["", f"Members ({min(most_members, len(campaign['members'])):,} of {len(campaign['members']):,})"]
    lines += [_member_line(member) for member in campaign["members"][:most_members]]
    return "\n".join(lines)


def evidence(campaign: Mapping[str, Any]) -> list[str]:
    """What speaks for the campaign, by group of links, what against it, and how its prompts were dealt out."""
    lines = [
        f"{GROUPS[proof['group']]}: {proof['nats']:,.0f} [{proof['control_nats']:,.0f}], "
        f"brought by {proof['members']:,.0f} members" + (", a pool of values" if _is_pooled(campaign, proof) else "")
        for proof in campaign["evidence"]
    ]
    lines += [f"but: {_EXPLANATIONS.get(name, name)}" for name in campaign["explanations"]]
    if bar := campaign.get("watched_only"):
        lines.append(f"members are only watched until a person confirms it: {_BARS.get(bar, bar)}")
    lines.append(f"its prompts: {_dealt(campaign['queue'])}")
    return [*lines, f"its accounts: {_uneven(dealing)}"] if (dealing := campaign.get("dealing")) else lines


def _dealt(queue: Mapping[str, float]) -> str:
    """How the wrapped prompts were dealt out; they are alike by chance when it is about once as often."""
    if not queue["pairs"]:
        return "no account sent two wrapped ones, so nothing tells how they were dealt out"
    told = (
        f"{queue['wrappers']:g} wrappers in use; two of one account are {queue['excess']:g} times as often alike as "
        f"two of several at one time ({queue['pairs']:,.0f} pairs; 1 is a queue's dealing, people have favourites); "
        f"{queue['shared_bodies']:.0%} of the prompts came from several tenants to the letter"
    )
    dealt = queue.get("dealt")  # entries from before it was told
    return told if dealt is None else f"{told}, and {dealt:.0%} have a wrapper that a twentieth of the members carry"


def _uneven(dealing: Mapping[str, float]) -> str:
    """What say accounts have in the queue's prompts; where they have none, members without links are challenged."""
    said = "have no say in what they ask" if dealing["is_even"] else "may have chosen what they ask"
    return (
        f"{said}: {dealing['accounts']:,.0f} had any of its wrappers, {dealing['wrapped']:.0%} of their prompts since "
        f"have one (between them this differs by at most {dealing['unequal']:g} of itself beyond chance), and two of "
        f"one account are at most {dealing['most_alike']:g} times as often alike as by chance"
    )


def counterfactual(campaign: Mapping[str, Any]) -> list[str]:
    """What would have to be false for the verdict to fall."""
    if campaign["kind"] == "cohort":
        return ["there is none: this is a cohort for a person to look at"]
    pooled = " and ".join(GROUPS[group] for group in campaign["pooled"])
    found = [f"the shared {pooled} were no pool, but those of one honest customer"] if pooled else []
    if campaign["kind"] == "distillation":
        found.append("the skeletons that members share were common among others, or their prompts public material")
    if not pooled:
        found.append("accounts had wrappers of their own, instead of being dealt them as a queue deals")
        if campaign.get("dealing", {}).get("is_even"):
            found.append("some of them sent far more of these prompts than others")
    return found


def _is_pooled(campaign: Mapping[str, Any], proof: Mapping[str, Any]) -> bool:
    return proof["group"] in campaign["pooled"]


def _member_line(member: Mapping[str, Any]) -> str:
    since, sure = clock(member["joined_at"]), certainty(member["posterior"])
    return f"  {printable(member['tenant_id'])}  {member['role']}, {sure}, since {since}: {member_evidence(member)}"


def member_evidence(member: Mapping[str, Any]) -> str:
    """A member's nats by group, strongest first, without those that say nothing."""
    strongest = sorted(member["nats"].items(), key=lambda entry: -entry[1])
    return ", ".join(f"{printable(group)} {nats:+.1f}" for group, nats in strongest if abs(nats) >= _TOLD_NATS)
