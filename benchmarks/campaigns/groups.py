"""Groups that a rival names again and again become reports with one id for life, and decisions about their tenants."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct, field

from benchmarks.campaigns.group_rivals import GroupRival
from benchmarks.campaigns.observations import HOUR_MS, Ints, Seen
from stream_app.evaluation import Decision, Report
from stream_app.evaluation.records import Member


class _Group(Struct):
    first_ms: int
    members: list[int] = field(default_factory=list)
    joined_ms: dict[int, int] = field(default_factory=dict)


def followed(rival: GroupRival, seen: Seen) -> tuple[list[Report], list[Decision]]:
    """Ask a rival every so many hours; a group that shares half of the smaller one with an older group is that group.

    The last members of an id count; whoever was ever named is acted on, since this is all that its user knows.
    """
    groups: list[_Group] = []
    named_ms: dict[int, int] = {}
    begin, end = int(seen.time_ms[0]), int(seen.time_ms[-1])
    step_ms = rival.every_h * HOUR_MS
    for now_ms in range(begin + step_ms, end + step_ms, step_ms):
        found = sorted(rival.groups(seen.between(begin, now_ms)), key=len, reverse=True)
        owner = {member: place for place, group in enumerate(groups) for member in group.members}
        taken: set[int] = set()
        for members in found:
            place = _same(members, groups, owner, taken)
            if place is None:
                groups.append(_Group(now_ms))
                place = len(groups) - 1
            taken.add(place)
            _renew(groups[place], members, now_ms)
            for member in members.tolist():
                named_ms.setdefault(member, now_ms)
    reports = [_report(place, group, seen) for place, group in enumerate(groups)]
    return reports, decided(named_ms, seen)


def decided(named_ms: dict[int, int], seen: Seen) -> list[Decision]:
    """A challenge for everybody named."""
    return [
        Decision("tenant", seen.tenants[tenant], "challenge", _time(at_ms), tenant_id=seen.tenants[tenant])
        for tenant, at_ms in named_ms.items()
    ]


def _same(members: Ints, groups: list[_Group], owner: dict[int, int], taken: set[int]) -> int | None:
    common = Counter(owner[member] for member in members.tolist() if member in owner)
    for place, count in common.most_common():
        if place not in taken and 2 * count > min(len(members), len(groups[place].members)):
            return place
    return None


def _renew(group: _Group, members: Ints, now_ms: int) -> None:
    group.members = members.tolist()
    group.joined_ms = {member: group.joined_ms.get(member, now_ms) for member in group.members}


def _report(place: int, group: _Group, seen: Seen) -> Report:
    members = [Member(seen.tenants[who], 1.0, "act", _time(group.joined_ms[who])) for who in group.members]
    return Report(f"g-{place}", "group", "confirmed", 1.0, _time(group.first_ms), members)


def _time(at_ms: int | np.integer) -> datetime:
    return datetime.fromtimestamp(int(at_ms) / 1_000, tz=UTC)
