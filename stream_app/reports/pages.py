"""The page of a run (``report.html``): one file, no scripts, nothing from the network."""

from html import escape
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.policy import Policy
from stream_app.replay import Summary
from stream_app.reports.charts import around, stream_chart, timeline
from stream_app.reports.histories import (
    MAX_MARKS,
    Activity,
    Refusals,
    RunHistory,
    SubjectHistory,
    plotted_minutes,
)
from stream_app.stories import clock, duration, number, points, rarity, seen, subject_name

_STYLE = Path(__file__).with_name("page.css").read_text()


class Run(NamedTuple):
    """Everything that the page tells."""

    files: list[str]
    policy: Policy
    summary: Summary
    history: RunHistory
    activity: Activity


def render(run: Run) -> str:
    """The whole page. Every text of the input is escaped."""
    title = f"Replay of {', '.join(run.files)}"
    sections = (_opening(run, title), _plot(run), _subjects(run), _refusals(run), _policy(run.policy))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n"
        f"<main>\n{chr(10).join(filter(None, sections))}\n</main>\n</html>\n"
    )


def verdict(run: Run) -> str:
    """The result in one sentence."""
    worst = [history.worst for history in run.history.subjects.values()]
    denied = sum(decision.action.severity >= Action.THROTTLE.severity for decision in worst)
    watched = sum(decision.action is Action.OBSERVE for decision in worst)
    hit = f"{denied or 'None'} of {_count(run.summary.tenants, 'tenant')} would have been"
    return f"{hit} throttled, challenged or blocked; {watched or 'none'} only observed. {_mode(run.policy)}"


def _mode(policy: Policy) -> str:
    return "The policy is in shadow mode: nothing is enforced." if policy.simulated else "The policy is enforced."


def _opening(run: Run, title: str) -> str:
    summary = run.summary
    tiles = (
        ("events", summary.events),
        ("tenants", summary.tenants),
        ("accounts", summary.accounts),
        ("decisions", sum(summary.decisions.values())),
        ("late events", summary.late),
        ("repeated", summary.repeated),
        ("dead letters", summary.rejected),
    )
    told = "".join(f"<div><b>{value:,}</b><span>{name}</span></div>" for name, value in tiles)
    speed = f"{summary.events_per_s:,.0f} events a second for {summary.duration_s:,.1f} s"
    return (
        f'<header><h1>{escape(title)}</h1><p class="verdict">{escape(verdict(run))}</p>'
        f'<div class="tiles">{told}</div><p class="caption">All times are event times in UTC. Read at {speed}.'
        "</p></header>"
    )


def _plot(run: Run) -> str:
    minutes = plotted_minutes(run.activity)
    if not minutes:
        return ""
    outside = sum(count for minute, count in run.activity.total.items() if minute not in minutes)
    stray = f'<p class="caption">{_count(outside, "event")} far outside this time not shown.</p>' if outside else ""
    chart = stream_chart(run.activity.total, run.history.decided, minutes)
    return f"<section><h2>Traffic and decisions</h2>{chart}{stray}{_legend(run)}</section>"


def _legend(run: Run) -> str:
    counts = run.summary.decisions
    shown = [f"{_pill(action)} {counts[action]:,}" for action in reversed(Action) if counts.get(action)]
    return f'<p class="legend">{" ".join(f"<span>{one}</span>" for one in shown)}</p>' if shown else ""


def _subjects(run: Run) -> str:
    told = run.history.worst_first()
    if not told:
        return "<section><h2>Subjects</h2><p>No decision was made.</p></section>"
    minutes = plotted_minutes(run.activity)
    rows = "\n".join(_subject(history, run.activity, minutes) for history in told)
    left = len(run.history.subjects) - len(told)
    more = f"<p>{_count(left, 'further subject')} in decisions.jsonl.</p>" if left else ""
    head = "<tr><th>Subject</th><th>Strictest decision</th><th>Requests and decisions</th></tr>"
    table = f'<table class="subjects"><thead>{head}</thead>\n{rows}</table>'
    return f"<section><h2>Subjects, worst first</h2>{table}{more}</section>"


def _subject(history: SubjectHistory, activity: Activity, minutes: range) -> str:
    worst = history.worst
    made = ", ".join(f"{count:,} {action}" for action, count in sorted(history.counts.items(), key=_strictest_first))
    who = (
        f'{_pill(worst.action)}<br><b class="name">{escape(subject_name(worst))}</b>'
        f'<p class="caption">{made}<br>{clock(worst.issued_at)}{" · simulated" if worst.simulated else ""}</p>'
    )
    return f"<tr><td>{who}</td><td>{_story(worst)}</td><td>{_timeline(history, activity, minutes)}</td></tr>"


def _strictest_first(made: tuple[Action, int]) -> int:
    return -made[0].severity


def _story(decision: Decision) -> str:
    reason = decision.reasons[0] if decision.reasons else None
    short = f"<p>{escape(seen(reason))}; {rarity(reason.score)}.</p>" if reason else "<p>No score was involved.</p>"
    told = "".join(
        f"<dt>{point.label}</dt><dd>{_linked(point.text) if point.label == 'Runbook' else escape(point.text)}</dd>"
        for point in points(decision)
    )
    return f"{short}<details><summary>Why, for how long, evidence</summary><dl>{told}</dl></details>"


def _linked(url: str) -> str:
    is_web = url.startswith(("https://", "http://"))
    return f'<a href="{escape(url)}">{escape(url)}</a>' if is_web else escape(url)


def _timeline(history: SubjectHistory, activity: Activity, minutes: range) -> str:
    requests = activity.tenants.get(history.worst.tenant_id)
    if not requests or not minutes:
        return ""
    limit = history.worst.limit
    allowed = UNSET if limit is UNSET else limit.requests_per_minute
    drawn = timeline(
        requests,
        history.marks,
        around(history.marks, minutes),
        history.usual,
        None if allowed is UNSET else allowed,
    )
    unmarked = history.counts.total() - len(history.marks)
    more = f'<p class="caption">only the first {MAX_MARKS} decisions are marked</p>' if unmarked else ""
    return drawn + more


def _refusals(run: Run) -> str:
    if not run.history.refusals:
        return ""
    rows = "".join(
        f"<tr><td>{escape(reason)}</td><td class=n>{refused.count:,}</td><td>{_first(refused)}</td></tr>"
        for reason, refused in sorted(run.history.refusals.items(), key=lambda item: -item[1].count)
    )
    head = "<tr><th>Reason</th><th class=n>Inputs</th><th>First of them</th></tr>"
    return f"<section><h2>Dead letters</h2><table><thead>{head}</thead>{rows}</table></section>"


def _first(refused: Refusals) -> str:
    letter, place = refused.first, refused.place
    where = f"{place.file}, line {place.line}" if place else f"{letter.topic}, record {letter.offset}"
    return f'{escape(letter.detail)} <span class="caption">{escape(where)}</span>'


def _policy(policy: Policy) -> str:
    rungs = "".join(
        f"<tr><td>{_pill(rung)}</td><td>{rarity(rule.enter)}</td><td>{duration(rule.ttl_s)}</td>"
        f"<td>{duration(rule.max_ttl_s)}</td><td>{duration(rule.after_s) if rule.after_s else '–'}</td></tr>"
        for rung, rule in reversed(policy.ladder)
    )
    features = "".join(
        f"<tr><td>{escape(code)}</td><td class=n>{number(rule.floor)}</td><td>{_pill(rule.up_to)}</td></tr>"
        for code, rule in policy.features.items()
    )
    return (
        f"<section><h2>Policy {escape(policy.version)}</h2><p>{_mode(policy)} A subject returns to allow after"
        f" {duration(policy.cool_down_s)} below its rung.</p><table><thead><tr><th>Rung</th><th>Entered when</th>"
        f"<th>Lasts</th><th>At most</th><th>Not before</th></tr></thead>{rungs}</table>"
        "<details><summary>Features and their floors</summary><table><thead><tr><th>Feature</th>"
        f"<th class=n>Never below</th><th>Up to</th></tr></thead>{features}</table></details></section>"
    )


def _pill(action: Action) -> str:
    return f'<span class="pill {action}">{action}</span>'


def _count(number_of: int, noun: str) -> str:
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
