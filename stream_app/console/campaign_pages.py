"""Pages about campaigns: the list, and one with its members, its evidence and what it takes."""

from functools import partial
from typing import Any

from aiohttp import web
from markupsafe import Markup

from stream_app.console.actions import can_undo
from stream_app.console.campaign_traffic import Measure
from stream_app.console.extracts import traffic_of
from stream_app.console.figures import bar, series_figure, spread
from stream_app.console.pages import campaign_lines
from stream_app.console.rendering import DESK, Desk, page_of, render
from stream_app.console.rows import Row, actions_of
from stream_app.detection.decisions import Subject
from stream_app.memberships import GROUPS, SCOPES
from stream_app.plots.campaigns import MAX_VALUES, CampaignPlot, SharedValue, panels_of
from stream_app.plots.link_graphs import draw_graph
from stream_app.quantities import number
from stream_app.reports.dossiers import counterfactual, evidence, member_evidence
from stream_app.stories import subject_name

ROLES = ("block", "act", "member")


async def campaigns(request: web.Request) -> web.Response:
    """All campaigns, the confirmed first."""
    desk = request.app[DESK]
    return render(request, "campaigns.html", campaigns=campaign_lines(desk, desk.view.in_force(desk.now_ms)))


async def campaign(request: web.Request) -> web.Response:
    """One campaign; 10,000 members take a third of a second the first time, and a page of them is shown."""
    desk = request.app[DESK]
    found = _find(request)
    ids = {found["campaign_id"], *found["aliases"]}
    rows = desk.view.of_campaign(ids)
    plot = CampaignPlot(found, None, actions_of(rows))
    words = desk.view.words_on({f"campaign:{name}" for name in ids})
    undone = desk.view.undone()
    return render(
        request,
        "campaign.html",
        campaign=found,
        key=f"campaign:{found['campaign_id']}",
        told=evidence(found)[len(found["evidence"]) :],
        proofs=[_proof(found, proof) for proof in found["evidence"]],
        values=_values(plot.values[:MAX_VALUES]),
        would=counterfactual(found),
        figures=[series_figure(panel) for panel in panels_of(plot)],
        roles=_counted_roles(found),
        shared=[(row, subject_name(row.whole())) for row in _on_values(desk, ids)],
        changes=desk.view.campaigns.changes(found["campaign_id"])[::-1],
        words=words,
        undone=undone,
        undoable={word.record.id for word in words if can_undo(word, desk.view, undone, desk.now_ms)},
        **_members(request, found),
    )


async def traffic(request: web.Request) -> web.Response:
    """The part of a campaign's page that is read from signals: load, tokens taken, links, comparison."""
    desk = request.app[DESK]
    found = _find(request)
    suspects = desk.view.campaigns.suspects()
    extract = desk.extracts.ask(f"traffic {found['campaign_id']}", partial(traffic_of, desk.settings, found, suspects))
    result = extract.result
    loads = [series_figure(panel) for panel in panels_of(CampaignPlot(found, result.load))[:1]] if result else []
    return render(
        request,
        "traffic.html",
        status=200 if extract.is_ready else 202,
        extract=extract,
        loads=loads if result and result.load else [],
        taken=series_figure(result.taken) if result and result.taken else None,
        links=Markup(draw_graph(result.graph)) if result and result.graph.groups else None,  # noqa: S704
        measures=[(one, *_spreads(one)) for one in result.measures] if result else [],
    )


def _find(request: web.Request) -> dict[str, Any]:
    name = request.query.get("id", "")
    found = request.app[DESK].view.campaigns.find(name)
    if found is None:
        raise web.HTTPNotFound(text=f"No campaign {name!r} is on the campaigns topic.")
    return found


def _proof(found: dict[str, Any], proof: dict[str, Any]) -> dict[str, Any]:
    most = max((one["nats"] for one in found["evidence"]), default=1.0) or 1.0
    told = f"{GROUPS.get(proof['group'], proof['group'])}: {number(proof['nats'])} nats"
    return proof | {
        "name": GROUPS.get(proof["group"], proof["group"]),
        "is_pooled": proof["group"] in found.get("pooled", ()),
        "bar": bar([("own", proof["nats"] / most)], told),
        "control_bar": bar([("rate", proof["control_nats"] / most)], f"{number(proof['control_nats'])} nats"),
    }


def _values(values: list[SharedValue]) -> list[tuple[SharedValue, Markup]]:
    most = max((one.members + one.others for one in values), default=1) or 1
    return [(one, bar([("own", one.members / most), ("rate", one.others / most)], one.told)) for one in values]


def _counted_roles(found: dict[str, Any]) -> dict[str, int]:
    counts = dict.fromkeys(ROLES, 0)
    for member in found["members"]:
        counts[member["role"]] = counts.get(member["role"], 0) + 1
    return counts


def _on_values(desk: Desk, ids: set[str]) -> list[Row]:
    """What holds on values that members share."""
    held = [row for row in desk.view.in_force(desk.now_ms) if row.campaign_id in ids and row.scope in SCOPES]
    return sorted(held, key=lambda row: (-row.action.severity, row.key))[:50]


def _members(request: web.Request, found: dict[str, Any]) -> dict[str, Any]:
    role, text = request.query.get("role", ""), request.query.get("text", "").strip().lower()
    chosen = [
        member
        for member in found["members"]
        if (not role or member["role"] == role) and (not text or text in member["tenant_id"].lower())
    ]
    page = page_of(chosen, request.query)
    view = request.app[DESK].view
    lines = [
        member
        | {
            "standing": view.newest_of(Subject(member["tenant_id"]).key),
            "told": member_evidence(member) if "nats" in member else "",
        }
        for member in page.rows
    ]
    return {"page": page, "members": lines, "role": role, "text": text}


def _spreads(measure: Measure) -> tuple[Markup, Markup]:
    return (
        spread(_shares(measure, measure.members), "own", f"members: median {number(measure.members[1])}"),
        spread(_shares(measure, measure.others), "rate", f"ordinary tenants: median {number(measure.others[1])}"),
    )


def _shares(measure: Measure, values: tuple[float, float, float]) -> tuple[float, float, float]:
    most = max(measure.members[2], measure.others[2]) or 1.0
    low, middle, high = values
    return low / most, middle / most, high / most
