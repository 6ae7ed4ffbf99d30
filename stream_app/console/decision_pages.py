"""Pages about decisions: the list with its filters, one decision explained, and a tenant."""

import asyncio
from functools import partial

import msgspec
from aiohttp import web

from stream_app.console.actions import can_undo
from stream_app.console.extracts import Rules, timeline_of
from stream_app.console.figures import panel_figure
from stream_app.console.rendering import DESK, Desk, page_of, render
from stream_app.console.rows import ORIGINS, SCOPES, Filter, FilterError, Row, parse_filter
from stream_app.detection.decisions import tenant_subject
from stream_app.detection.operators import Override, Release, SetPolicy, Watch, parse_operator
from stream_app.stories import Background, follows, headline, points

#: Decisions about one subject that a timeline marks, the newest.
_MAX_MARKS = 200


async def decisions(request: web.Request) -> web.Response:
    """The decision log with filters; ``now=yes`` shows only what holds."""
    desk = request.app[DESK]
    view, now = desk.view, desk.now_ms
    try:
        asked, problem = parse_filter(request.query), ""
    except FilterError as error:
        asked, problem = Filter(), str(error)
    rows = asked.choose(view.in_force(now) if asked.now else view.log, now)
    codes = sorted({code for row in rows[:2_000] for code in row.codes.split()} | ({asked.reason} - {""}))
    return render(
        request,
        "decisions.html",
        status=400 if problem else 200,
        page=page_of(rows, request.query),
        asked=asked,
        query=asked.query(),
        wrong=problem,
        scopes=SCOPES,
        origins=ORIGINS,
        codes=codes,
    )


async def decision(request: web.Request) -> web.Response:
    """One decision in words."""
    desk = request.app[DESK]
    row = desk.view.find(request.query.get("id", ""))
    if row is None:
        raise web.HTTPNotFound(text=f"No decision {request.query.get('id', '')!r} is among those the console holds.")
    whole = row.whole()
    of_subject = [one for one in desk.view.of_tenant(row.tenant_id) if one.key == row.key] if row.tenant_id else [row]
    place = next((place for place, one in enumerate(of_subject) if one.decision_id == row.decision_id), 0)
    near = {
        "before": of_subject[place - 1].whole() if place else None,
        "after": of_subject[place + 1].whole() if place + 1 < len(of_subject) else None,
    }
    rules = _rules(desk, row)
    word = next((word.record for word in desk.view.words if follows(whole, word.record)), None)
    return render(
        request,
        "decision.html",
        row=row,
        standing=desk.view.newest_of(row.key),
        headline=headline(whole),
        points=points(whole, Background(policy=rules.policy, word=word, **near)),
    )


async def tenant(request: web.Request) -> web.Response:
    """What is known of a tenant: what holds, its campaigns, its decisions, and what people said."""
    desk = request.app[DESK]
    tenant_id = request.query.get("id", "")
    rows = desk.view.of_tenant(tenant_id) if tenant_id else []
    memberships = desk.view.campaigns.of_tenant(tenant_id)
    key = f"tenant:{tenant_subject(tenant_id)}"
    words = desk.view.words_on({key, *(row.key for row in rows)})
    undone = desk.view.undone()
    now = desk.now_ms
    return render(
        request,
        "tenant.html",
        status=200 if rows or memberships or words else 404,
        tenant_id=tenant_id,
        key=key,
        standing=desk.view.newest_of(key),
        held=[row for row in desk.view.in_force(now) if row.tenant_id == tenant_id],
        memberships=memberships,
        page=page_of(rows[::-1], request.query),
        words=words,
        undone=undone,
        undoable={word.record.id for word in words if can_undo(word, desk.view, undone, now)},
        shown=request.query.get("decision", ""),
    )


async def timeline(request: web.Request) -> web.Response:
    """A tenant's rates with what was usual and what was decided, around one decision."""
    desk = request.app[DESK]
    tenant_id = request.query.get("id", "")
    rows = desk.view.of_tenant(tenant_id)
    row = next((one for one in rows if one.decision_id == request.query.get("decision")), None) or _telling(rows)
    if row is None:
        return render(request, "timeline.html", extract=None, figures=[], row=None)
    of_subject = [one.whole() for one in rows if one.key == row.key][-_MAX_MARKS:]
    rules = await asyncio.to_thread(_rules, desk, row)
    read = partial(timeline_of, desk.settings, row.whole(), of_subject, rules)
    extract = desk.extracts.ask(f"timeline {row.decision_id}", read)
    figures = [panel_figure(panel) for panel in extract.result.panels] if extract.result else []
    return render(
        request, "timeline.html", status=200 if extract.is_ready else 202, extract=extract, figures=figures, row=row
    )


def _telling(rows: list[Row]) -> Row | None:
    """The decision to draw around when none is asked for: the strictest of the newest ones, the detector's rather."""
    own = [row for row in rows if row.origin == "detector"] or rows
    return max(own[-20:], key=lambda row: (row.action.severity, row.issued_ms), default=None)


def _rules(desk: Desk, row: Row) -> Rules:
    """The policy that a decision was made by, as far as it is known, and the words that workers followed."""
    version = row.whole().policy.version
    policies = [one.policy for one in desk.view.policies if one.policy.version == version]
    words = [
        parse_operator(msgspec.json.encode(word.record)) for word in desk.view.words if word.record.type != "policy"
    ]
    followed = [one for one in words if isinstance(one, SetPolicy | Override | Release | Watch)]
    return Rules(policies[-1] if policies else desk.seed_policy, followed)
