"""Bundles side by side: parts at different providers that share values are one campaign, as far as the digests tell."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stream_app.detection.campaigns.indicators import GROUP_OF, LEAST_CARRIERS, Part
from stream_app.sharing.readings import Reading


class Placed(NamedTuple):
    """A part and who tells of it."""

    provider: str
    part: Part


class Union(NamedTuple):
    """Parts that belong together: members in all, and how many digests several providers have, by kind."""

    parts: list[Placed]
    members: int
    common: dict[str, int]


def unions(readings: Iterable[Reading]) -> list[Union]:
    """Every part of these bundles, those that belong together as one; the largest first.

    Two parts do when they share digests of two groups, several in all: one may be a popular program.
    """
    placed = [Placed(one.provider, part) for one in readings for part in one.indicators.parts]
    together: list[list[Placed]] = []
    for new in placed:
        kin = [known for known in together if any(_are_kin(new.part, other.part) for other in known)]
        together = [known for known in together if known not in kin] + [[*(one for known in kin for one in known), new]]
    found = [Union(parts, sum(one.part.members for one in parts), _common(parts)) for parts in together]
    return sorted(found, key=lambda one: (-len(one.parts), -one.members, one.parts[0].part.part_id))


def _are_kin(one: Part, other: Part) -> bool:
    shared = {kind: one.values.get(kind, {}).keys() & other.values.get(kind, {}).keys() for kind in GROUP_OF}
    groups = {GROUP_OF[kind] for kind, digests in shared.items() if digests}
    return len(groups) > 1 and sum(map(len, shared.values())) > LEAST_CARRIERS


def _common(parts: Sequence[Placed]) -> dict[str, int]:
    providers_of: dict[tuple[str, str], set[str]] = {}
    for placed in parts:
        for kind, values in placed.part.values.items():
            for digest in values:
                providers_of.setdefault((kind, digest), set()).add(placed.provider)
    common: dict[str, int] = {}
    for (kind, _), providers in providers_of.items():
        if len(providers) > 1:
            common[kind] = common.get(kind, 0) + 1
    return common
