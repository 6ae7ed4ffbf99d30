"""What people said of campaigns, and how well it was foreseen: whether the list for a person gets better."""

from collections.abc import Iterable
from typing import Any

#: Opinions over which precision is told: some weeks of a list of three a day, most of them never judged.
LAST = 20


def progress(campaigns: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Judged campaigns in the order of their opinions, as in ``campaigns.jsonl``.

    ``precision`` is the share of the last ``LAST`` judged so far that people confirmed, ``foreseen_right`` how many of
    those among them of which something was foreseen (not one half) had a probability on the right side; none as yet:
    ``None``.
    """
    judged = sorted((one for one in campaigns if one.get("feedback")), key=lambda one: str(one["feedback"]["at"]))
    told: list[dict[str, Any]] = []
    for place, campaign in enumerate(judged):
        last = [one["feedback"] for one in judged[max(place + 1 - LAST, 0) : place + 1]]
        foreseen = [is_foreseen for is_foreseen in map(was_foreseen, last) if is_foreseen is not None]
        told.append(
            {"campaign_id": campaign["campaign_id"], **campaign["feedback"]}
            | {
                "precision": round(sum(word["is_confirmed"] for word in last) / len(last), 3),
                "foreseen_right": round(sum(foreseen) / len(foreseen), 3) if foreseen else None,
            }
        )
    return told


def was_foreseen(word: dict[str, Any]) -> bool | None:
    """Whether an opinion was foreseen; ``None`` of the first ones, before which nothing was."""
    if word["foreseen"] == 0.5:  # what is said where there is nothing to learn from
        return None
    return bool((word["foreseen"] > 0.5) == word["is_confirmed"])


def line(judged: dict[str, Any]) -> str:
    """One opinion with what was foreseen, and the precision so far."""
    said = "confirmed" if judged["is_confirmed"] else "dismissed"
    right = "nothing" if judged["foreseen_right"] is None else f"{judged['foreseen_right']:.0%}"
    return (
        f"{judged['at']}  {judged['campaign_id']}  {said} by {judged['by']}  foreseen {judged['foreseen']:.2f}"
        f"  of the last {LAST}: {judged['precision']:.0%} confirmed, {right} foreseen"
    )
