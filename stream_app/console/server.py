"""The console's web application: its routes, and what stands before them."""

from collections.abc import Sequence
from pathlib import Path

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from stream_app.console.action_pages import act, sign_in, sign_in_page, sign_out
from stream_app.console.campaign_pages import campaign, campaigns, traffic
from stream_app.console.decision_pages import decision, decisions, tenant, timeline
from stream_app.console.dossier_files import dossier_file
from stream_app.console.feedback_pages import feedback
from stream_app.console.guards import CLOCK, MAX_FORM_BYTES, SIGN_INS, Next, check_form, know_person, set_headers
from stream_app.console.live import LISTENERS, Listeners, let_go, live
from stream_app.console.metrics import ConsoleMetrics
from stream_app.console.pages import SUMMARY, Summary, audit, overview, policy_page
from stream_app.console.people import SignIns
from stream_app.console.rendering import DESK, Desk, render
from stream_app.console.what_if_pages import RUNS, run_what_if, stop_runs, what_if, what_if_page, what_if_result
from stream_app.console.what_if_runs import WhatIfRuns

_STATIC = Path(__file__).with_name("static")
#: A view is not worth looking at when it is older than this.
_UNREADY_S = 60.0


def create_console_app(
    desk: Desk, sign_ins: SignIns, registry: CollectorRegistry, limits: Sequence[Middleware] = ()
) -> web.Application:
    """The web application; the caller binds and runs it.

    ``limits`` stand before everything. Besides the pages: ``/health`` (200 while reading goes on), ``/ready`` (200 when
    the view is whole and not older than a minute), ``/metrics``.
    """
    metrics = ConsoleMetrics(registry, desk.view, desk.reader)
    app = web.Application(
        middlewares=[*limits, set_headers, _counting(metrics), _telling, know_person, check_form],
        client_max_size=MAX_FORM_BYTES,
    )
    app[DESK], app[SIGN_INS], app[LISTENERS], app[CLOCK] = desk, sign_ins, Listeners(), desk.clock
    app[SUMMARY], app[RUNS] = Summary(), WhatIfRuns(desk.settings)
    app.on_shutdown.extend((let_go, stop_runs))
    pages = {
        "/": overview,
        "/decisions": decisions,
        "/decision": decision,
        "/tenant": tenant,
        "/tenant/timeline": timeline,
        "/campaigns": campaigns,
        "/campaign": campaign,
        "/campaign/traffic": traffic,
        "/campaign/dossier": dossier_file,
        "/feedback": feedback,
        "/policy": policy_page,
        "/what-if": what_if,
        "/what-if/result": what_if_result,
        "/what-if/page": what_if_page,
        "/audit": audit,
        "/sign-in": sign_in_page,
        "/live": live,
        "/health": _health,
        "/ready": _ready,
    }
    app.add_routes([web.get(path, page) for path, page in pages.items()])
    app.add_routes([web.post("/what-if", run_what_if)])
    app.add_routes([web.post("/actions", act), web.post("/sign-in", sign_in), web.post("/sign-out", sign_out)])
    app.router.add_static("/static/", _STATIC)
    app.router.add_get("/metrics", _exposing(registry))
    return app


def _exposing(registry: CollectorRegistry) -> Next:
    async def expose(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return expose


async def _health(request: web.Request) -> web.Response:
    reader = request.app[DESK].reader
    is_running = reader is None or reader.is_running()
    return _json({"healthy": is_running}, is_running)


async def _ready(request: web.Request) -> web.Response:
    reader = request.app[DESK].reader
    age_s = reader.age_s() if reader else 0.0
    is_ready = age_s is not None and age_s <= _UNREADY_S
    reason = None if is_ready else (reader.problem if reader and reader.problem else "view_not_ready")
    return _json({"ready": is_ready, "reason": reason}, is_ready)


def _json(content: dict[str, object], is_well: bool) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=200 if is_well else 503, content_type="application/json")


def _counting(metrics: ConsoleMetrics) -> Middleware:
    @web.middleware
    async def count(request: web.Request, handler: Next) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            metrics.answers.labels(f"{error.status // 100}xx").inc()
            raise
        metrics.answers.labels(f"{answer.status // 100}xx").inc()
        return answer

    return count


@web.middleware
async def _telling(request: web.Request, handler: Next) -> web.StreamResponse:
    """What went wrong as a page, for who can see pages."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400 or "text/html" not in request.headers.get("Accept", ""):
            raise
        return render(request, "error.html", status=error.status, told=error.text or error.reason)
