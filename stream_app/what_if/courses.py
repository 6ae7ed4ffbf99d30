"""What one policy does over a history: who is held at what, from when to when, and what it costs the harm budget."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, field

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.decode import Rejected, decode_record
from stream_app.detection.effects import EmitDecision
from stream_app.detection.policy import Policy
from stream_app.replay import Replay, Summary

MINUTE_S, HOUR_S = 60, 3_600
#: Spells of one subject that are kept for its timeline; the time that a flapping subject is denied is complete anyway.
MAX_SPELLS = 60


class Spell(Struct):
    """A subject held at one action; event time in seconds since 1970."""

    action: Action
    from_s: float
    until_s: float


class SubjectCourse(Struct):
    """What one subject was told; ``strictest`` is the first decision of the strictest action that takes effect.

    ``denied_s`` is how long it is throttled, challenged or blocked, within the history. Whatever is simulated takes no
    effect: at most it observes.
    """

    strictest: Decision
    spells: list[Spell] = field(default_factory=list)
    denied_s: float = 0.0
    now: Spell | None = None

    @property
    def action(self) -> Action:
        """The strictest action that takes effect."""
        return effective(self.strictest)

    @property
    def is_denied(self) -> bool:
        """Whether the subject is ever denied anything."""
        return is_denial(self.action)

    def add(self, decision: Decision) -> None:
        """Take in the next decision."""
        action, at_s = effective(decision), _epoch_s(decision.issued_at)
        if action.severity > self.action.severity:
            self.strictest = decision
        now, until_s = self.now, _epoch_s(decision.expires_at)
        if now is not None and now.action is action and at_s <= now.until_s:
            now.until_s = max(now.until_s, until_s)
            return
        self.end(at_s)
        self.now = Spell(action, at_s, until_s)

    def end(self, at_s: float) -> None:
        """End the spell under way at the latest at a time."""
        if (now := self.now) is None:
            return
        now.until_s = max(min(now.until_s, at_s), now.from_s)
        self.denied_s += now.until_s - now.from_s if is_denial(now.action) else 0.0
        if now.action is not Action.ALLOW and len(self.spells) < MAX_SPELLS:
            self.spells.append(now)
        self.now = None


class HarmUse(Struct):
    """Denials that counted against the budget of single subjects, those it withheld, and how full it was at most.

    ``by_hour`` is what was used in the hour before a decision, at most, by hour since 1970.
    """

    denials: int = 0
    withheld: int = 0
    fullest: float = 0.0
    by_hour: dict[int, int] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        """Take in what a decision says of the budget."""
        budget = decision.harm_budget
        if budget is UNSET:
            return
        is_withheld = budget.withheld is not UNSET
        self.denials += not is_withheld
        self.withheld += is_withheld
        self.fullest = max(self.fullest, budget.used / budget.allowed if budget.allowed else 1.0)
        hour = int(_epoch_s(decision.issued_at)) // HOUR_S
        self.by_hour[hour] = max(budget.used, self.by_hour.get(hour, 0))


class FoundCampaign(Struct):
    """A campaign at the end of the history, with its members, and the subjects that it got denied."""

    campaign_id: str
    kind: str
    status: str
    members: list[str]
    denied: set[str] = field(default_factory=set)


class Course(Struct):
    """Everything compared of one policy's run. Memory grows with subjects that got a decision, and with minutes."""

    subjects: dict[str, SubjectCourse] = field(default_factory=dict)
    decided: dict[int, Counter[Action]] = field(default_factory=dict)
    harm: HarmUse = field(default_factory=HarmUse)
    campaigns: list[FoundCampaign] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
    begins_s: float = 0.0
    ends_s: float = 0.0

    @property
    def minutes(self) -> range:
        """The minutes of the history, empty without any event."""
        return range(int(self.begins_s) // MINUTE_S, int(self.ends_s) // MINUTE_S + 1) if self.ends_s else range(0)

    def add(self, decision: Decision) -> None:
        """Take in the run's next decision."""
        known = self.subjects.get(decision.key)
        if known is None:
            known = self.subjects[decision.key] = SubjectCourse(decision)
        known.add(decision)
        self.harm.add(decision)
        minute = int(_epoch_s(decision.issued_at)) // MINUTE_S
        self.decided.setdefault(minute, Counter())[decision.action] += 1


def run_course(
    policy: Policy, values: Iterable[bytes], *, partitions: int = 1, operator_lines: Sequence[bytes] = ()
) -> Course:
    """Run a policy over record values, in order, as if it were enforced as a whole; costs what a replay does.

    A rung or a feature in shadow mode stays so. Operator records must hold no policies.
    """
    replay, course = Replay(enforced(policy), partitions, operator_lines), Course()
    by_campaign: dict[str, set[str]] = {}
    for effect in replay.run(_timed(values, course)):
        if isinstance(effect, EmitDecision):
            course.add(effect.decision)
            if effect.decision.campaign_id and is_denial(effective(effect.decision)):
                by_campaign.setdefault(effect.decision.campaign_id, set()).add(effect.decision.key)
    course.ends_s = replay.newest_ms / 1000
    for known in course.subjects.values():
        known.end(course.ends_s)
    for one in replay.campaigns:
        denied = set().union(*(by_campaign.get(name, set()) for name in (one.campaign_id, *one.aliases)))
        course.campaigns.append(
            FoundCampaign(one.campaign_id, one.kind.value, one.status.value, sorted(one.members), denied)
        )
    course.summary = replay.summary
    return course


def _timed(values: Iterable[bytes], course: Course) -> Iterator[bytes]:
    """The values as they are; the course begins with the first of their events."""
    for value in values:
        if not course.begins_s:
            times = (item.time for item in decode_record(value, {}) if not isinstance(item, Rejected))
            course.begins_s = next((time.timestamp() for time in times), 0.0)
        yield value


def enforced(policy: Policy) -> Policy:
    """The same policy with its mode enforced."""
    content: dict[str, Any] = policy.model_dump()
    return Policy.model_validate(content | {"mode": "enforced"})


def effective(decision: Decision) -> Action:
    """What a decision does to its subject; one that is simulated is only looked at."""
    return Action.OBSERVE if decision.simulated and is_denial(decision.action) else decision.action


def is_denial(action: Action) -> bool:
    """Whether an action denies anything."""
    return action.severity >= Action.THROTTLE.severity


def _epoch_s(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
