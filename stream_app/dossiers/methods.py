"""What a dossier says in words: the campaign in short, and how its figures are to be understood."""

from collections.abc import Mapping
from typing import Any

from stream_app.quantities import clock, number

METHODS = (
    "A campaign is a group of accounts that are judged to be one operation. Accounts are first put into a pool by "
    "what they share; the pool as a whole is then compared with everybody outside it and with control groups: "
    "accounts drawn from the others, as many and as old, grown into a pool in the same way.",
    "Evidence is counted in nats, the natural logarithm of how many times likelier what was seen is within the "
    "campaign than outside: 2.3 nats are ten to one, 6.9 a thousand to one. A kind of link counts as proved when "
    "the pool is 30 nats ahead of the best control group.",
    "The probability (posterior) of a member is that of belonging to the campaign, given all that it shares, "
    "where what it shares is weighed by how rare it is among others. It is no probability of intent, and says "
    "nothing about the person behind an account. It would be wrong if the shared values were common for a reason "
    "that the data do not show.",
    "Roles follow from it: a member (probability 0.3 or more) is watched; the act set, with an expected error of "
    "0.2 %, may be challenged; the block set (odds of ten thousand to one, and links of its own of three kinds) "
    "may be blocked.",
    "How many times likelier a member carries a value than another account is the ratio of the two shares, with "
    "half an account added to the others, so that a value nobody else has is not infinitely rare.",
    "Country, language and the country of an address are no evidence. Prompts are not kept: only keyed sketches "
    "of them, from which the text cannot be read back.",
)


def summary(content: Mapping[str, Any]) -> list[str]:
    """The dossier in a few sentences that need no explanation."""
    campaign, size, decisions = content["campaign"], content["size"], content["decisions"]
    about = "" if content["form"] == "full" else "about "
    told = [
        f"{content['campaign_id']} is a {campaign['status']} {campaign['kind'].replace('_', ' ')} of "
        f"{about}{number(size['members'])} accounts, first told on {clock(campaign['first_alert_time'])}, "
        f"with confidence {campaign['confidence']:.2f}.",
        f"{about.capitalize()}{number(size['act'])} of them are sure enough to act on, "
        f"{number(size['block'])} of these to block."
        if size["act"]
        else "None of them is sure enough to act on: they are watched.",
    ]
    if taken := campaign.get("tokens_taken"):
        told.append(f"They have taken {about}{number(taken)} output tokens since each was first seen.")
    if content["proofs"]:
        names = ", ".join(proof["name"] for proof in content["proofs"])
        told.append(f"They are tied together by {names}.")
    told.append(_decided(decisions))
    if content["effect"]:
        told.append(_effect(content["effect"]))
    return told


def _decided(decisions: Mapping[str, Any]) -> str:
    if not decisions["total"]:
        return "No decision was made for it."
    made = ", ".join(f"{number(count)} {action}" for action, count in decisions["by_action"].items())
    simulated = " (some or all simulated: nothing was enforced by them)" if decisions["simulated"] else ""
    denied = f"{number(decisions['denied'])} subjects were denied something"
    return f"Decisions made for it, renewals among them: {made}{simulated}; {denied}."


def _effect(effect: Mapping[str, Any]) -> str:
    simulated = ", which was simulated" if effect["is_simulated"] else ""
    made, took = _rates(effect, "requests", "requests"), _rates(effect, "tokens", "output tokens")
    told = f"made {made}{', and took ' if took else ''}{took}" if made else "are not on record"
    return f"Around the first denial{simulated}, its members {told}."


def _rates(effect: Mapping[str, Any], counted: str, name: str) -> str:
    rates = [(when, effect.get(f"{counted}_per_hour_{when}")) for when in ("before", "after")]
    return " and ".join(f"{number(rate)} {name} an hour in the day {when}" for when, rate in rates if rate is not None)
