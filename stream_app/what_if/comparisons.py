"""Two courses beside each other: whose fate differs, and what that comes to."""

from collections.abc import Collection, Iterator
from enum import StrEnum
from itertools import chain
from typing import Any

from msgspec import Struct

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.policy import Policy
from stream_app.what_if.courses import Course, FoundCampaign, SubjectCourse, is_denial


class Change(StrEnum):
    """How a subject's strictest action differs, the gravest for the subject first."""

    NEWLY_DENIED = "newly denied"
    STRICTER = "stricter"
    MILDER = "milder"
    RELEASED = "released"
    NEWLY_OBSERVED = "newly observed"
    NO_LONGER_OBSERVED = "no longer observed"


#: What people are shown one by one; observing does nothing to a subject, and is only counted.
TOLD = (Change.NEWLY_DENIED, Change.STRICTER, Change.MILDER, Change.RELEASED)


class SubjectChange(Struct, frozen=True):
    """One subject with different strictest actions; a side on which it got no decision is ``None``."""

    key: str
    tenant_id: str
    change: Change
    old: SubjectCourse | None
    new: SubjectCourse | None

    @property
    def cause(self) -> Decision:
        """The decision that makes the difference: the new one, or the old one that is not made any more."""
        more = self.new if self.change in (Change.NEWLY_DENIED, Change.STRICTER, Change.NEWLY_OBSERVED) else self.old
        assert more is not None  # noqa: S101 - whoever has the stricter action got a decision
        return more.strictest


class Side(Struct, frozen=True):
    """What one policy comes to. ``benign_denied`` and ``campaign_denied`` are labelled tenants, without labels none."""

    decisions: int
    decisions_per_hour: float
    denied: int
    denied_hours: float
    harm_denials: int
    harm_withheld: int
    harm_fullest: float
    benign_denied: int | None
    campaign_denied: int | None


class CampaignChange(Struct, frozen=True):
    """One campaign: its members, and how many subjects it gets denied, by either policy."""

    campaign: FoundCampaign
    old_denied: int
    new_denied: int


class Labels(Struct, frozen=True):
    """Tenants whose truth is known."""

    benign: frozenset[str]
    campaign: frozenset[str]


class Comparison(Struct, frozen=True):
    """The result: subjects that differ, gravest first, campaigns, both sides in figures, and differing rules."""

    old: Side
    new: Side
    subjects: list[SubjectChange]
    campaigns: list[CampaignChange]
    rules: list[tuple[str, str, str]]
    history_s: float
    labels: Labels | None = None

    def counts(self) -> dict[Change, int]:
        """Subjects by how they differ."""
        return {kind: sum(one.change is kind for one in self.subjects) for kind in Change}

    def truth_of(self, tenant_id: str) -> str:
        """What the labels say of a tenant, empty when they say nothing."""
        if self.labels is None or not tenant_id:
            return ""
        if tenant_id in self.labels.campaign:
            return "campaign"
        return "benign" if tenant_id in self.labels.benign else ""


def compare(old: tuple[Policy, Course], new: tuple[Policy, Course], labels: Labels | None = None) -> Comparison:
    """Compare two runs over the same history."""
    (old_policy, before), (new_policy, after) = old, new
    history_s = after.ends_s - after.begins_s
    return Comparison(
        _side(before, history_s, labels),
        _side(after, history_s, labels),
        _changes(before, after),
        list(_campaigns(before, after)),
        list(rule_differences(old_policy, new_policy)),
        history_s,
        labels,
    )


def rule_differences(old: Policy, new: Policy) -> Iterator[tuple[str, str, str]]:
    """Rules that differ, as path, old value and new value; ``–`` is none."""
    before, after = (dict(_flat("", one.model_dump(mode="json", exclude_none=True))) for one in (old, new))
    for name in sorted({*before, *after}):
        if name != "version" and before.get(name) != after.get(name):
            yield name, before.get(name, "–"), after.get(name, "–")


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(f"{name}.{key}" if name else key, part)
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for part in value:
            key = part.get("subject") or "+".join((*part.get("tenants", ()), *part.get("plans", ())))
            yield from _flat(
                f"{name}[{key}]", {k: v for k, v in part.items() if k not in ("subject", "tenants", "plans")}
            )
    elif value != []:
        yield name, str(value)


def _changes(before: Course, after: Course) -> list[SubjectChange]:
    found = []
    for key in {**before.subjects, **after.subjects}:
        old, new = before.subjects.get(key), after.subjects.get(key)
        change = _change(old.action if old else Action.ALLOW, new.action if new else Action.ALLOW)
        if change is not None:
            known = new or old
            assert known is not None  # noqa: S101 - the key is of one of them
            found.append(SubjectChange(key, known.strictest.tenant_id, change, old, new))
    order = list(Change)
    return sorted(found, key=lambda one: (order.index(one.change), -one.cause.action.severity, one.key))


def _change(old: Action, new: Action) -> Change | None:
    if old is new:
        return None
    if is_denial(new) and not is_denial(old):
        return Change.NEWLY_DENIED
    if is_denial(old) and not is_denial(new):
        return Change.RELEASED
    is_stricter = new.severity > old.severity
    if not is_denial(new):
        return Change.NEWLY_OBSERVED if is_stricter else Change.NO_LONGER_OBSERVED
    return Change.STRICTER if is_stricter else Change.MILDER


def _side(course: Course, history_s: float, labels: Labels | None) -> Side:
    denied = [known for known in course.subjects.values() if known.is_denied]
    decisions = sum(count.total() for count in course.decided.values())
    tenants = {known.strictest.tenant_id for known in denied}
    return Side(
        decisions,
        round(decisions / max(history_s / 3600, 1 / 60), 2),
        len(denied),
        round(sum(known.denied_s for known in denied) / 3600, 2),
        course.harm.denials,
        course.harm.withheld,
        round(course.harm.fullest, 3),
        None if labels is None else _hits(tenants, labels.benign),
        None if labels is None else _hits(tenants, labels.campaign),
    )


def _hits(tenants: set[str], labelled: Collection[str]) -> int:
    return sum(tenant_id in labelled for tenant_id in tenants)


def _campaigns(before: Course, after: Course) -> Iterator[CampaignChange]:
    old, new = ({one.campaign_id: one for one in course.campaigns} for course in (before, after))
    for campaign_id in dict.fromkeys(chain(new, old)):
        sides = [side[campaign_id] for side in (new, old) if campaign_id in side]
        yield CampaignChange(
            sides[0],
            len(old[campaign_id].denied) if campaign_id in old else 0,
            len(new[campaign_id].denied) if campaign_id in new else 0,
        )
