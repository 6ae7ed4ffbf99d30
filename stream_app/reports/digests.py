"""The digest of a week: what was decided and why, which campaigns are new, and what people took back."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import UNSET, Struct, field

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.operators import OperatorRecord, RecordType
from stream_app.quantities import clock, number, printable
from stream_app.reports import pages
from stream_app.stories import track_title

_STYLE = Path(pages.__file__).with_name("page.css").read_text()
#: Rows of a table; the rest is counted. A digest is read in a minute.
MAX_ROWS = 15
#: What people write when the detector was wrong about somebody.
_CORRECTIONS = {RecordType.RELEASE, RecordType.ALLOW, RecordType.DISMISS}
#: What else of theirs bears on subjects.
_WORDS = {*_CORRECTIONS, RecordType.OVERRIDE, RecordType.WATCH, RecordType.CONFIRM, RecordType.ENFORCEMENT}


class Counts(Struct):
    """Decisions of the period, counted one by one; memory grows with them, some hundred bytes each."""

    actions: Counter[tuple[Action, bool]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, Action]] = field(default_factory=Counter)
    subjects: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    budget_share: float = 0.0
    withheld: int = 0
    ids: set[str] = field(default_factory=set)

    def add(self, decision: Decision) -> None:
        """Take in a decision; one that was repeated after a crash counts once."""
        if decision.decision_id in self.ids:
            return
        self.ids.add(decision.decision_id)
        self.actions[decision.action, decision.simulated] += 1
        reason = decision.reasons[0].code if decision.reasons else decision.origin
        self.reasons[reason, decision.action] += 1
        self.subjects.add(decision.key)
        if decision.action.severity >= Action.THROTTLE.severity and not decision.simulated:
            self.denied.add(decision.key)
        budget = decision.harm_budget
        if budget is not UNSET:
            self.withheld += budget.withheld is not UNSET
            if budget.allowed:
                self.budget_share = max(self.budget_share, budget.used / budget.allowed)


class Period(NamedTuple):
    """From when to when (event time of decisions and alerts, processing time of operators' records)."""

    since: datetime
    until: datetime

    def has(self, time: str | datetime) -> bool:
        """Whether something of that time belongs to it."""
        at = datetime.fromisoformat(time) if isinstance(time, str) else time
        return self.since <= at < self.until


class Part(NamedTuple):
    """A heading, a sentence, and a table; without rows only the sentence."""

    title: str
    told: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()


class Digest(NamedTuple):
    """What is told, in order; ``short`` is all of it in a sentence or two."""

    title: str
    short: str
    parts: list[Part]


def digest(
    period: Period,
    decisions: Iterable[Decision],
    campaigns: Iterable[Mapping[str, Any]],
    records: Iterable[OperatorRecord],
) -> Digest:
    """Put together what belongs to the period; ``campaigns`` are headers with ``member_count``."""
    counts = Counts()
    for decision in decisions:
        if period.has(decision.issued_at):
            counts.add(decision)
    new = [one for one in campaigns if period.has(one["first_alert_time"])]
    words = [one for one in records if one.type in _WORDS and period.has(one.at)]
    since, until = (time.strftime("%Y-%m-%d %H:%M UTC") for time in period)
    parts = [
        _decisions(counts),
        _reasons(counts),
        _campaigns(new),
        _corrections(words),
        _others(words),
        _budget(counts),
    ]
    return Digest(f"Stillwatch from {since} to {until}", _in_short(counts, new, words), parts)


def _in_short(counts: Counts, new: Sequence[Mapping[str, Any]], words: Sequence[OperatorRecord]) -> str:
    confirmed = [one for one in new if one["status"] == "confirmed"]
    taken = sum(one.get("tokens_taken", 0) for one in confirmed)
    tokens = f", which have taken {number(taken)} output tokens" if taken else ""
    members = number(sum(one["member_count"] for one in confirmed))
    found = f"{_many(len(confirmed), 'new campaign')} confirmed, of {members} accounts{tokens}" if confirmed else ""
    denied = f"{_many(len(counts.denied), 'subject')} throttled, challenged or blocked"
    back = _many(sum(map(_is_correction, words)), "correction")
    return f"{found or 'No new campaign confirmed'}. {denied}; {back} by people."


def _many(count: int, name: str) -> str:
    return f"{number(count)} {name}{'' if count == 1 else 's'}"


def _decisions(counts: Counts) -> Part:
    rows = [
        (action.value, number(counts.actions[action, False]), number(counts.actions[action, True]))
        for action in reversed(Action)
        if counts.actions[action, False] or counts.actions[action, True]
    ]
    told = (
        f"{number(counts.actions.total())} decisions on {number(len(counts.subjects))} subjects, renewals among them."
    )
    return Part("Decisions", told, ("Action", "Enforced", "Simulated"), rows)


def _reasons(counts: Counts) -> Part:
    by_reason: dict[str, Counter[Action]] = {}
    for (reason, action), count in counts.reasons.items():
        by_reason.setdefault(reason, Counter())[action] += count
    ranked = sorted(by_reason.items(), key=lambda entry: (-entry[1].total(), entry[0]))
    rows = [
        (
            _reason(reason),
            number(made.total()),
            ", ".join(f"{number(made[action])} {action}" for action in reversed(Action) if made[action]),
        )
        for reason, made in ranked
    ]
    return _cut(Part("Reasons", "By the main reason of each.", ("Reason", "Decisions", "Of these"), rows))


def _reason(code: str) -> str:
    """A feature's code in words; anything else as it is."""
    return track_title(FEATURES[CODES.index(code)]) if code in CODES else printable(code)


def _campaigns(new: Sequence[Mapping[str, Any]]) -> Part:
    ranked = sorted(new, key=lambda one: (one["status"] != "confirmed", one["first_alert_time"], one["campaign_id"]))
    rows = [
        (
            printable(one["campaign_id"]),
            f"{one['status']} {one['kind']}".replace("_", " "),
            number(one["member_count"]),
            number(one["tokens_taken"]) if one.get("tokens_taken") else "",
            clock(one["first_alert_time"]),
            f"stillwatch campaigns dossier {printable(one['campaign_id'])}",
        )
        for one in ranked
    ]
    told = f"{number(len(new))} with a first alert in this time." if new else "None."
    return _cut(
        Part("New campaigns", told, ("Campaign", "What", "Members", "Tokens taken", "First alert", "Dossier"), rows)
    )


def _corrections(words: Sequence[OperatorRecord]) -> Part:
    named = [one for one in words if _is_correction(one)]
    told = "What people released, allowed or dismissed: the false positives that they named." if named else "None."
    return _cut(Part("Taken back by people", told, _WORD_COLUMNS, list(map(_word, named))))


def _others(words: Sequence[OperatorRecord]) -> Part:
    others = [one for one in words if not _is_correction(one)]
    told = "Overrides, watches, confirmations and the enforcement switch." if others else "None."
    return _cut(Part("Other orders", told, _WORD_COLUMNS, list(map(_word, others))))


def _is_correction(record: OperatorRecord) -> bool:
    body = record.body or {}
    is_milder = record.type == RecordType.OVERRIDE and body.get("action") in {Action.ALLOW, Action.OBSERVE}
    return record.type in _CORRECTIONS or is_milder


#: Columns of figures.
_NUMBERS = {"Enforced", "Simulated", "Decisions", "Members", "Tokens taken"}
_WORD_COLUMNS = ("When", "What", "Subject", "By", "Reason")


def _word(record: OperatorRecord) -> tuple[str, ...]:
    action = (record.body or {}).get("action")
    what = f"{record.type} {action}" if isinstance(action, str) else record.type
    subject = "" if record.subject is UNSET else record.subject
    when = record.at.strftime("%Y-%m-%d %H:%M")
    return (when, printable(what), printable(subject), printable(record.by), printable(record.reason))


def _budget(counts: Counts) -> Part:
    if not counts.budget_share and not counts.withheld:
        return Part("Harm budgets", "Not touched, or not told by any decision.")
    used, withheld = f"{counts.budget_share:.0%}", number(counts.withheld)
    told = f"At its highest {used} of one was used; decisions made milder for it: {withheld}."
    return Part("Harm budgets", told)


def _cut(part: Part) -> Part:
    left = len(part.rows) - MAX_ROWS
    more = f" The first {MAX_ROWS} of {number(len(part.rows))}." if left > 0 else ""
    return part._replace(told=part.told + more, rows=part.rows[:MAX_ROWS])


def to_markdown(told: Digest) -> str:
    """For a chat or a wiki."""
    lines = [f"# {told.title}", "", told.short]
    for part in told.parts:
        lines += ["", f"## {part.title}", "", part.told]
        if part.rows:
            lines += ["", _row(part.columns), _row(["---"] * len(part.columns)), *map(_row, part.rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    safe = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'") for cell in cells)
    return f"| {' | '.join(safe)} |"


def to_html(told: Digest) -> str:
    """One page for a mail: no scripts, nothing from the network."""
    parts = "\n".join(map(_section, told.parts))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(told.title)}</title>\n<style>\n{_STYLE}</style>\n"
        f'<main>\n<header><h1>{escape(told.title)}</h1><p class="verdict">{escape(told.short)}</p></header>\n'
        f"{parts}\n</main>\n</html>\n"
    )


def _section(part: Part) -> str:
    tags = [' class="n"' if name in _NUMBERS else "" for name in part.columns]
    head = "".join(f"<th{tag}>{escape(name)}</th>" for tag, name in zip(tags, part.columns, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{tag}>{escape(cell)}</td>" for tag, cell in zip(tags, row, strict=True)) + "</tr>"
        for row in part.rows
    )
    table = f"<table><thead><tr>{head}</tr></thead>{rows}</table>" if part.rows else ""
    return f"<section><h2>{escape(part.title)}</h2><p>{escape(part.told)}</p>{table}</section>"
