"""The page's campaigns: each with its growth, what its members share, and who they are."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from stream_app.detection.decisions import Subject
from stream_app.memberships import certainty, is_shared_value
from stream_app.plots.campaigns import MAX_VALUES, CampaignPlot, SharedValue, panels_of
from stream_app.quantities import clock
from stream_app.reports.charts import series_figure
from stream_app.reports.dossiers import counterfactual, evidence, headline, member_evidence
from stream_app.reports.histories import RunHistory
from stream_app.reports.subjects import pill
from stream_app.stories import subject_name

#: Campaigns told in full, the confirmed ones first; the others by their headline.
MAX_CARDS = 10
#: Members told for each; all of them are in campaigns.jsonl.
MAX_MEMBERS = 20

#: Decisions on shared values told for each; all of them are in decisions.jsonl.
MAX_DECIDED = 20


def campaign_section(plots: Sequence[CampaignPlot], history: RunHistory) -> str:
    """The section of the page; nothing without a campaign."""
    if not plots:
        return ""
    ranked = sorted(plots, key=lambda one: (one.campaign["status"] != "confirmed", one.campaign["first_alert_time"]))
    cards = "\n".join(_card(plot, history) for plot in ranked[:MAX_CARDS])
    others = "".join(f"<p>{escape(headline(plot.campaign))}</p>" for plot in ranked[MAX_CARDS:])
    return f"<section><h2>Campaigns</h2>{cards}{others}</section>"


def _card(plot: CampaignPlot, history: RunHistory) -> str:
    campaign = plot.campaign
    id_, said = headline(campaign).split("  ", 1)
    told = "".join(f"<li>{escape(line)}</li>" for line in evidence(campaign))
    undone = "".join(f"<li>{escape(line)}</li>" for line in counterfactual(campaign))
    figures = "".join(map(series_figure, panels_of(plot))) + _values(plot.values)
    is_open = " open" if campaign["status"] == "confirmed" else ""
    if not is_open:
        figures = f"<details><summary>Load, growth and what they share</summary>{figures}</details>"
    return (
        f'<article><div class="told"><p><b class="name">{escape(id_)}</b></p><p>{escape(said)}.</p>'
        f"<details{is_open}><summary>Why, and what would undo it</summary><p>Evidence in nats, and that of the"
        f" best control group</p><ul>{told}</ul><p>The verdict would fall if</p><ul>{undone}</ul></details></div>"
        f'<div class="shown">{figures}{_decided(campaign, history)}</div>'
        f"{_members(campaign, history)}</article>"
    )


def _values(values: Sequence[SharedValue]) -> str:
    shown = values[:MAX_VALUES]
    if not shown:
        return ""
    most = max(one.members + one.others for one in shown)
    rows = "".join(
        f"<tr><td>{escape(one.kind)} <b>{escape(one.name)}</b></td><td><div class=bar>"
        f'<i class="own" style="width:{one.members / most:.1%}"></i>'
        f'<i class="rate" style="width:{one.others / most:.1%}"></i></div>'
        f'<span class="caption">{escape(one.told)}</span></td></tr>'
        for one in shown
    )
    title = "<figcaption>What members share, strongest first</figcaption>"
    return f'<figure>{title}<table class="shared">{rows}</table></figure>'


def _decided(campaign: Mapping[str, Any], history: RunHistory) -> str:
    """What was decided on shared values themselves."""
    ids = {campaign["campaign_id"], *campaign["aliases"]}
    worst = [one.worst for _, one in sorted(history.subjects.items()) if one.worst.campaign_id in ids]
    values = [one for one in worst if is_shared_value(one)]
    rows = "".join(
        f"<tr><td>{escape(subject_name(one))}</td><td>{pill(one.action)}</td></tr>" for one in values[:MAX_DECIDED]
    )
    left = len(values) - MAX_DECIDED
    rows += f"<tr><td>and {left:,} more</td></tr>" if left > 0 else ""
    simulated = " (simulated)" if any(one.simulated for one in values) else ""
    title = f"<figcaption>Decided on shared values{simulated}</figcaption>"
    return f'<figure>{title}<table class="shared">{rows}</table></figure>' if rows else ""


def _members(campaign: Mapping[str, Any], history: RunHistory) -> str:
    members = campaign["members"]
    rows = "".join(_member(member, history) for member in members[:MAX_MEMBERS])
    left = len(members) - MAX_MEMBERS
    more = f'<p class="caption">{left:,} more in campaigns.jsonl.</p>' if left > 0 else ""
    head = "<tr><th>Member</th><th>Decided</th><th>Probability</th><th>Since</th><th>Nats</th></tr>"
    return (
        f'<details class="wide"><summary>The {min(len(members), MAX_MEMBERS)} surest of {len(members):,} members'
        f'</summary><table class="subjects members"><thead>{head}</thead>{rows}</table>{more}</details>'
    )


def _member(member: Mapping[str, Any], history: RunHistory) -> str:
    told = history.subjects.get(Subject(member["tenant_id"]).key)
    decided = pill(told.worst.action) if told else "nothing"
    return (
        f"<tr><td><b>{escape(member['tenant_id'])}</b></td><td>{decided}</td><td>{certainty(member['posterior'])}</td>"
        f"<td>{escape(clock(member['joined_at']))}</td><td>{escape(member_evidence(member))}</td></tr>"
    )
