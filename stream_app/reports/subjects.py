"""The page's subjects: the worst with their series, the others in a table."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.operators import OperatorRecord, OperatorWord
from stream_app.detection.policy import Policy
from stream_app.plots.panels import Panel, limit_of
from stream_app.plots.times import Mark, around, bins_of, clock_at
from stream_app.plots.tracks import Tracer, Track, account_of
from stream_app.quantities import clock, how_rare
from stream_app.reports.charts import figure
from stream_app.reports.histories import MAX_MARKS, RunHistory, SubjectHistory
from stream_app.stories import Background, follows, points, seen, subject_name

#: Subjects with plots, of up to 10 kB each panel: the page stays below a megabyte.
MAX_PLOTTED = 20
#: Decisions written out below a subject's plots.
_MAX_CHIPS = 12

#: Tracks by subject and feature.
Plots = Mapping[str, Mapping[str, Track]]


def tracers(history: RunHistory, policy: Policy, instructions: Sequence[OperatorWord]) -> dict[str, Tracer]:
    """What has to be shown the events once more, by subject."""
    return {told.worst.key: _tracer(told, policy, instructions) for told in history.worst_first()[:MAX_PLOTTED]}


def _tracer(told: SubjectHistory, policy: Policy, instructions: Sequence[OperatorWord]) -> Tracer:
    minutes = [int(mark.at_s) // 60 for mark in told.marks]
    bins = bins_of(around(told.marks, range(min(minutes) - 24 * 60, max(minutes) + 24 * 60)))
    return Tracer(
        told.worst.tenant_id, policy, told.codes(), bins, account_id=account_of(told.worst), instructions=instructions
    )


class Rules(NamedTuple):
    """What the run was told: its policy, and operators' words."""

    policy: Policy
    words: Sequence[OperatorRecord]

    def background_of(self, decision: Decision) -> Background:
        """What stands behind one of the run's decisions."""
        return Background(self.policy, next((word for word in self.words if follows(decision, word)), None))


def subjects(history: RunHistory, plots: Plots, rules: Rules) -> str:
    """The section of the page."""
    told = history.worst_first()
    if not told:
        return "<section><h2>Subjects</h2><p>No decision was made.</p></section>"
    plotted = [one for one in told if one.worst.key in plots]
    cards = "\n".join(_card(one, plots[one.worst.key], rules) for one in plotted)
    return f"<section><h2>Subjects, worst first</h2>{cards}</section>{_others(history, told[len(plotted) :], rules)}"


def _others(history: RunHistory, told: Sequence[SubjectHistory], rules: Rules) -> str:
    if not told:
        return ""
    rows = "\n".join(f"<tr><td>{_who(one)}</td><td>{_story(one.worst, rules)}</td></tr>" for one in told)
    left = len(history.subjects) - MAX_PLOTTED - len(told)
    more = f"<p>{count_of(left, 'further subject')} in decisions.jsonl.</p>" if left > 0 else ""
    head = "<tr><th>Subject</th><th>Strictest decision</th></tr>"
    table = f'<table class="subjects"><thead>{head}</thead>\n{rows}</table>'
    return f"<section><h2>Further subjects</h2>{table}{more}</section>"


def _card(history: SubjectHistory, tracks: Mapping[str, Track], rules: Rules) -> str:
    panels = (
        figure(Panel(track, history.moments(code), limit_of(history.worst, track))) for code, track in tracks.items()
    )
    story = _story(history.worst, rules)
    return (
        f'<article><div class="told">{_who(history)}{story}</div>'
        f'<div class="shown">{"".join(panels)}{_chips(history)}</div></article>'
    )


def _who(history: SubjectHistory) -> str:
    worst = history.worst
    made = ", ".join(f"{count:,} {action}" for action, count in sorted(history.counts.items(), key=_strictest_first))
    return (
        f'<p>{pill(worst.action)} <b class="name">{escape(subject_name(worst))}</b></p>'
        f'<p class="caption">{made} · {clock(worst.issued_at)}{" · simulated" if worst.simulated else ""}</p>'
    )


def _strictest_first(made: tuple[Action, int]) -> int:
    return -made[0].severity


def _story(decision: Decision, rules: Rules) -> str:
    reason = decision.reasons[0] if decision.reasons else None
    story = points(decision, rules.background_of(decision))
    why = (
        f"{seen(reason)}; {how_rare(reason.score, reason.compared_with)}"
        if reason
        else next(p.text for p in story if p.label == "Reason")
    )
    short = f"<p>{escape(why[0].upper() + why[1:])}.</p>"
    told = "".join(
        f"<dt>{point.label}</dt><dd>{_linked(point.text) if point.label == 'Runbook' else escape(point.text)}</dd>"
        for point in story
    )
    return f"{short}<details><summary>Why, for how long, evidence</summary><dl>{told}</dl></details>"


def _linked(url: str) -> str:
    is_web = url.startswith(("https://", "http://"))
    return f'<a href="{escape(url)}">{escape(url)}</a>' if is_web else escape(url)


def _chips(history: SubjectHistory) -> str:
    """The decisions with their times, in order, as far as there is room."""
    shown = "".join(_chip(mark) for mark in history.marks[:_MAX_CHIPS])
    left = history.counts.total() - min(len(history.marks), _MAX_CHIPS)
    more = f"<span>and {left:,} more</span>" if left else ""
    unmarked = f"<span>only the first {MAX_MARKS} are marked</span>" if history.counts.total() > MAX_MARKS else ""
    return f'<p class="chips">{shown}{more}{unmarked}</p>'


def _chip(mark: Mark) -> str:
    return f'<span><b class="key mark {mark.action}"></b>{clock_at(mark.at_s, "%H:%M:%S")} {mark.action}</span>'


def pill(action: Action) -> str:
    """An action as a badge."""
    return f'<span class="pill {action}">{action}</span>'


def count_of(number_of: int, noun: str) -> str:
    """Such as ``3 tenants``."""
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"


def finish(running: Mapping[str, Tracer]) -> Plots:
    """The tracks of tracers that have seen everything; subjects without any event have none."""
    return {key: tracer.finish() for key, tracer in running.items()}
