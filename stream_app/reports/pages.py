"""The page of a run (``report.html``): one file, no scripts, nothing from the network."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from stream_app.detection.decisions import Action
from stream_app.detection.operators import OperatorRecord
from stream_app.detection.policy import Policy
from stream_app.plots.campaigns import CampaignPlot
from stream_app.quantities import duration, number, rarity
from stream_app.replay import Summary
from stream_app.reports.campaign_cards import campaign_section
from stream_app.reports.charts import stream_chart
from stream_app.reports.histories import Activity, Refusals, RunHistory, plotted_minutes
from stream_app.reports.subjects import Plots, Rules, count_of, pill, subjects

_STYLE = Path(__file__).with_name("page.css").read_text()


class Run(NamedTuple):
    """Everything that the page tells."""

    files: list[str]
    policy: Policy
    summary: Summary
    history: RunHistory
    activity: Activity
    plots: Plots
    words: Sequence[OperatorRecord] = ()
    campaigns: Sequence[CampaignPlot] = ()


def render(run: Run) -> str:
    """The whole page. Every text of the input is escaped."""
    title = f"Replay of {', '.join(run.files)}"
    sections = (
        _opening(run, title),
        _plot(run),
        campaign_section(run.campaigns, run.history),
        subjects(run.history, run.plots, Rules(run.policy, run.words)),
        _refusals(run),
        _policy(run.policy),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n"
        f"<main>\n{chr(10).join(filter(None, sections))}\n</main>\n</html>\n"
    )


def verdict(run: Run) -> str:
    """The result in one sentence."""
    worst = [history.worst for history in run.history.subjects.values() if history.worst.tenant_id]
    denying = [decision for decision in worst if decision.action.severity >= Action.THROTTLE.severity]
    denied = {decision.tenant_id for decision in denying}
    watched = {decision.tenant_id for decision in worst if decision.action is Action.OBSERVE} - denied
    partly = ", or accounts in them," if any(decision.scope == "account" for decision in denying) else ""
    hit = f"{len(denied) or 'None'} of {count_of(run.summary.tenants, 'tenant')}{partly} would have been"
    return f"{hit} throttled, challenged or blocked; {len(watched) or 'none'} only observed. {_mode(run.policy)}"


def _mode(policy: Policy) -> str:
    return "The policy is in shadow mode: nothing is enforced." if policy.simulated else "The policy is enforced."


def _opening(run: Run, title: str) -> str:
    summary = run.summary
    tiles = (
        ("events", summary.events),
        ("tenants", summary.tenants),
        ("accounts", summary.accounts),
        ("decisions", sum(summary.decisions.values()) - sum(summary.renewals.values())),
        ("renewals", sum(summary.renewals.values())),
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
    stray = f'<p class="caption">{count_of(outside, "event")} far outside this time not shown.</p>' if outside else ""
    chart = stream_chart(run.activity.total, run.history.decided, minutes)
    return f"<section><h2>Traffic and decisions</h2>{chart}{stray}{_legend(run)}</section>"


def _legend(run: Run) -> str:
    renewals = run.summary.renewals
    counts = {action: count - renewals.get(action, 0) for action, count in run.summary.decisions.items()}
    shown = [f"{pill(action)} {counts[action]:,}" for action in reversed(Action) if counts.get(action)]
    return f'<p class="legend">{" ".join(f"<span>{one}</span>" for one in shown)}</p>' if shown else ""


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
        f"<tr><td>{pill(rung)}</td><td>{rarity(rule.enter)}</td><td>{duration(rule.ttl_s)}</td>"
        f"<td>{duration(rule.max_ttl_s)}</td><td>{duration(rule.after_s) if rule.after_s else '–'}</td></tr>"
        for rung, rule in reversed(policy.ladder)
    )
    features = "".join(
        f"<tr><td>{escape(code)}</td><td class=n>{number(rule.floor)}</td><td>{pill(rule.up_to)}</td></tr>"
        for code, rule in policy.features.items()
    )
    return (
        f"<section><h2>Policy {escape(policy.version)}</h2><p>{_mode(policy)} A subject returns to allow after"
        f" {duration(policy.cool_down_s)} below its rung.</p><table><thead><tr><th>Rung</th><th>Entered when</th>"
        f"<th>Lasts</th><th>At most</th><th>Not before</th></tr></thead>{rungs}</table>"
        "<details><summary>Features and their floors</summary><table><thead><tr><th>Feature</th>"
        f"<th class=n>Never below</th><th>Up to</th></tr></thead>{features}</table></details></section>"
    )
