"""What the page tells of a run: per subject what was decided, per minute how much came in."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec
from msgspec import Struct, field

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import DeadLetter
from stream_app.detection.events import Time
from stream_app.reports.lines import Place

MINUTE_S = 60
#: Decisions of one subject that are kept for its timeline; a flapping subject's further ones are only counted.
MAX_MARKS = 200
#: Subjects told in full; the rest are counted, and complete in decisions.jsonl.
MAX_SUBJECTS = 100
#: Share of all events that may lie outside the plots at either end when a few stray clocks would flatten them.
_STRAY_SHARE = 0.0005


class Mark(Struct, frozen=True):
    """One decision on a timeline; ``at_s`` is event time in seconds since 1970."""

    at_s: float
    action: Action


class SubjectHistory(Struct):
    """What was decided on one subject: the worst decision whole, the first ``MAX_MARKS`` as marks, all as counts.

    ``usual`` is the subject's usual requests a minute as the newest decision that knows it has it.
    """

    worst: Decision
    usual: float | None = None
    marks: list[Mark] = field(default_factory=list)
    counts: Counter[Action] = field(default_factory=Counter)

    def add(self, decision: Decision) -> None:
        """Take in the subject's next decision."""
        self.counts[decision.action] += 1
        if len(self.marks) < MAX_MARKS:
            self.marks.append(Mark(epoch_s(decision.issued_at), decision.action))
        if (usual := usual_per_minute(decision)) is not None:
            self.usual = usual
        if severity(decision) > severity(self.worst):
            self.worst = decision


class Refusals(Struct):
    """Dead letters of one reason: how many, and the first of them with its place."""

    first: DeadLetter
    place: Place | None
    count: int = 0


class RunHistory(Struct):
    """Everything decided and refused in a run; memory grows with subjects that got a decision and with minutes."""

    subjects: dict[str, SubjectHistory] = field(default_factory=dict)
    decided: dict[int, Counter[Action]] = field(default_factory=dict)
    refusals: dict[str, Refusals] = field(default_factory=dict)

    def add_decision(self, decision: Decision) -> None:
        """Take in the run's next decision."""
        history = self.subjects.get(decision.key)
        if history is None:
            history = self.subjects[decision.key] = SubjectHistory(decision)
        history.add(decision)
        minute = int(epoch_s(decision.issued_at)) // MINUTE_S
        self.decided.setdefault(minute, Counter())[decision.action] += 1

    def add_dead_letter(self, letter: DeadLetter, place: Place | None) -> None:
        """Take in the run's next dead letter."""
        self.refusals.setdefault(letter.reason, Refusals(letter, place)).count += 1

    def worst_first(self) -> list[SubjectHistory]:
        """The subjects to tell, at most ``MAX_SUBJECTS``."""
        ranked = sorted(self.subjects.values(), key=lambda history: history.worst.key)
        ranked.sort(key=lambda history: severity(history.worst), reverse=True)
        return ranked[:MAX_SUBJECTS]


class Activity(Struct):
    """Requests by minute since 1970, of the whole stream and of some tenants, and hashes of all accounts.

    Refused requests are counted too, as far as they can be read.
    """

    total: Counter[int] = field(default_factory=Counter)
    tenants: dict[str, Counter[int]] = field(default_factory=dict)
    accounts: set[int] = field(default_factory=set)


class _Stamp(Struct):
    tenant_id: str
    account_id: str
    time: Time


_stamps = msgspec.json.Decoder(_Stamp | list[_Stamp])


def count_activity(values: Iterable[bytes], tenant_ids: Collection[str]) -> Activity:
    """Read the stream once more, for its plots: two microseconds an event, and no memory but the counts."""
    activity = Activity(tenants={tenant_id: Counter() for tenant_id in tenant_ids})
    total, tenants, add_account, decode = activity.total, activity.tenants, activity.accounts.add, _stamps.decode
    for value in values:
        try:
            stamps = decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        for stamp in stamps if isinstance(stamps, list) else (stamps,):
            minute = int(stamp.time.timestamp()) // MINUTE_S
            total[minute] += 1
            add_account(hash((stamp.tenant_id, stamp.account_id)))
            if (own := tenants.get(stamp.tenant_id)) is not None:
                own[minute] += 1
    return activity


def plotted_minutes(activity: Activity) -> range:
    """Minutes the plots span: all of them, unless a few events far off would leave the rest no room."""
    if not activity.total:
        return range(0)
    minutes = sorted(activity.total)
    first, last = _bulk(activity.total, minutes), _bulk(activity.total, minutes[::-1])
    if minutes[-1] - minutes[0] > 2 * (last - first) + MINUTE_S:
        return range(first, last + 1)
    return range(minutes[0], minutes[-1] + 1)


def _bulk(total: Counter[int], minutes: Iterable[int]) -> int:
    allowed = total.total() * _STRAY_SHARE
    seen = 0
    for minute in minutes:
        seen += total[minute]
        if seen > allowed:
            return minute
    raise AssertionError("more than nothing was counted")


def severity(decision: Decision) -> tuple[int, float]:
    """How bad a decision is: its rung, then its worst score."""
    return decision.action.severity, max((reason.score for reason in decision.reasons), default=0.0)


def usual_per_minute(decision: Decision) -> float | None:
    """The subject's usual requests a minute, if a reason tells them."""
    usual = {reason.code: reason.expected * 60 / reason.window_s for reason in decision.reasons if reason.window_s}
    return usual.get("requests_60s", usual.get("requests_600s"))


def epoch_s(time: str) -> float:
    """RFC 3339 as seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()
