"""What the page tells of a run: per subject what was decided, per minute how much came in."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import DeadLetter
from stream_app.detection.events import Time
from stream_app.plots.loads import Actions, LoadCount, merged
from stream_app.plots.panels import Moment
from stream_app.plots.times import MINUTE_S, Mark, epoch_s, mark_of
from stream_app.plots.tracks import Tracer, plotted_codes
from stream_app.reports.lines import Place
from stream_app.stories import shares

#: Decisions of one subject that are kept for its timeline; a flapping subject's further ones are only counted.
MAX_MARKS = 200
#: Subjects told in full; the rest are counted, and complete in decisions.jsonl.
MAX_SUBJECTS = 100
#: Share of all events that may lie outside the plots at either end when a few stray clocks would flatten them.
_STRAY_SHARE = 0.0005


class SubjectHistory(Struct):
    """What was decided on one subject: the worst decision whole, the first ``MAX_MARKS`` as marks, all as counts.

    ``observed`` has, for each mark, the values that were reasons; ``carried`` sums each feature's shares of the scores.
    """

    worst: Decision
    marks: list[Mark] = field(default_factory=list)
    observed: list[dict[str, float]] = field(default_factory=list)
    counts: Counter[Action] = field(default_factory=Counter)
    carried: dict[str, float] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        """Take in the subject's next decision."""
        self.counts[decision.action] += 1
        if len(self.marks) < MAX_MARKS:
            self.marks.append(mark_of(decision))
            self.observed.append({reason.code: reason.observed for reason in decision.reasons})
        for reason, share in zip(decision.reasons, shares(decision.reasons), strict=True):
            self.carried[reason.code] = self.carried.get(reason.code, 0.0) + share
        if severity(decision) > severity(self.worst):
            self.worst = decision

    def codes(self) -> list[str]:
        """Features to plot: those that carried most, or the requests of a minute where no score was involved."""
        return plotted_codes(self.carried)

    def moments(self, code: str) -> list[Moment]:
        """The marks, with what was observed of a feature."""
        return [Moment(mark, seen.get(code)) for mark, seen in zip(self.marks, self.observed, strict=True)]


class Refusals(Struct):
    """Dead letters of one reason: how many, and the first of them with its place."""

    first: DeadLetter
    place: Place | None
    count: int = 0


class RunHistory(Struct):
    """Everything decided and refused in a run; memory grows with subjects that got a decision and with minutes."""

    subjects: dict[str, SubjectHistory] = field(default_factory=dict)
    campaigns: dict[str, Actions] = field(default_factory=dict)
    decided: dict[int, Counter[Action]] = field(default_factory=dict)
    refusals: dict[str, Refusals] = field(default_factory=dict)

    def add_decision(self, decision: Decision) -> None:
        """Take in the run's next decision."""
        history = self.subjects.get(decision.key)
        if history is None:
            history = self.subjects[decision.key] = SubjectHistory(decision)
        history.add(decision)
        if decision.campaign_id:
            self.campaigns.setdefault(decision.campaign_id, Actions()).add(decision)
        minute = int(epoch_s(decision.issued_at)) // MINUTE_S
        self.decided.setdefault(minute, Counter())[decision.action] += 1

    def actions_of(self, campaign: Mapping[str, Any]) -> Actions:
        """What was decided for a campaign, under all its ids."""
        ids = (campaign["campaign_id"], *campaign["aliases"])
        return merged(self.campaigns[one] for one in ids if one in self.campaigns)

    def add_dead_letter(self, letter: DeadLetter, place: Place | None) -> None:
        """Take in the run's next dead letter."""
        self.refusals.setdefault(letter.reason, Refusals(letter, place)).count += 1

    def worst_first(self) -> list[SubjectHistory]:
        """The subjects to tell, at most ``MAX_SUBJECTS``; those that are told as a campaign's members are left out."""
        own = [history for history in self.subjects.values() if not history.worst.campaign_id]
        ranked = sorted(own, key=lambda history: history.worst.key)
        ranked.sort(key=lambda history: severity(history.worst), reverse=True)
        return ranked[:MAX_SUBJECTS]


class Activity(Struct):
    """Requests by minute since 1970, and hashes of all accounts.

    Refused requests are counted too, as far as they can be read.
    """

    total: Counter[int] = field(default_factory=Counter)
    accounts: set[int] = field(default_factory=set)


class _Stamp(Struct):
    tenant_id: str
    account_id: str
    time: Time
    output_tokens: int = 0


_stamps = msgspec.json.Decoder(_Stamp | list[_Stamp])


def count_activity(values: Iterable[bytes], tracers: Sequence[Tracer] = (), loads: LoadCount | None = None) -> Activity:
    """Read the stream once more, for its plots: two microseconds an event, more for those that a tracer is shown."""
    loads = loads or LoadCount([])
    activity = Activity()
    total, add_account, decode = activity.total, activity.accounts.add, _stamps.decode
    watching: dict[str, list[Tracer]] = {}
    for tracer in tracers:
        watching.setdefault(tracer.tenant_id, []).append(tracer)
    for value in values:
        try:
            stamps = decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        together = stamps if isinstance(stamps, list) else [stamps]
        if not together:
            continue
        for tenant_id in {stamp.tenant_id for stamp in together} if len(together) > 1 else (together[0].tenant_id,):
            for tracer in watching.get(tenant_id, ()):
                tracer.add(value)
        for stamp in together:
            minute = int(stamp.time.timestamp()) // MINUTE_S
            total[minute] += 1
            add_account(hash((stamp.tenant_id, stamp.account_id)))
            loads.add(stamp.tenant_id, minute, tokens=stamp.output_tokens)
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
