"""What another policy would have done: asked for and shown at the console."""

from typing import Any

import msgspec
from aiohttp import web

from stream_app.console.guards import need
from stream_app.console.people import Role
from stream_app.console.rendering import DESK, Desk, render
from stream_app.console.what_if_runs import SPANS, Run, WhatIfRuns
from stream_app.detection.decisions import Decision
from stream_app.detection.policy import PolicyError, load_policy
from stream_app.stories import headline

RUNS: web.AppKey[WhatIfRuns] = web.AppKey("what_if_runs", WhatIfRuns)
#: Subjects told one by one; the page to download has more.
_MAX_SUBJECTS = 50
#: Changes that are told one by one, as in the command's table; observing is only counted.
_TOLD = ("newly denied", "stricter", "milder", "released")


async def what_if(request: web.Request) -> web.Response:
    """The form, and what the newest run, or another one, came to."""
    return _form(request, policy_text(request.app[DESK]), "24")


def _form(request: web.Request, text: str, chosen: str, problem: str = "") -> web.Response:
    """The page, with what was filled in and why it was refused, if it was."""
    runs = request.app[RUNS]
    return render(
        request,
        "what-if.html",
        status=400 if problem else 200,
        wrong=problem,
        text=text,
        chosen=chosen,
        spans=SPANS,
        run=runs.find(request.query.get("number", "")),
        others=runs.kept[::-1],
    )


async def what_if_result(request: web.Request) -> web.Response:
    """The part of the page that waits for a run."""
    run = _find(request)
    return render(
        request, "what-if-result.html", status=200 if run.is_over else 202, run=run, subjects=_subjects(run.result)
    )


async def what_if_page(request: web.Request) -> web.Response:
    """The run's own page, with its plots, as a file."""
    run = _find(request)
    if not run.page:
        raise web.HTTPNotFound(text="This run has no page.")
    return web.Response(
        body=run.page,
        content_type="text/html",
        headers={"Content-Disposition": 'attachment; filename="what-if.html"'},
    )


async def run_what_if(request: web.Request) -> web.Response:
    """Begin a run with the form's policy, and go to the page that waits for it."""
    person = need(request, Role.ANALYST)
    runs, desk, form = request.app[RUNS], request.app[DESK], await request.post()
    text, hours = str(form.get("policy", "")).replace("\r\n", "\n"), str(form.get("hours", ""))
    try:
        policy = load_policy(text, "the policy")
        if hours not in SPANS:
            raise ValueError(f"how much history? One of {', '.join(SPANS.values())}")
        if runs.is_busy:
            raise ValueError("another what-if is going on: it takes both cores, so wait until it is done")
    except (PolicyError, ValueError) as error:
        return _form(request, text, hours, str(error))
    number = runs.kept[-1].number + 1 if runs.kept else 1
    runs.begin(text, Run(number, person.name, desk.now_ms, policy.version, hours))
    raise web.HTTPSeeOther(f"/what-if?number={number}")


def policy_text(desk: Desk) -> str:
    """The policy in force as it was set, else as the settings have it."""
    if desk.view.policies:
        return str((desk.view.policies[-1].record.body or {}).get("yaml", ""))
    return desk.seed_text


async def stop_runs(app: web.Application) -> None:
    """End what goes on when the console stops."""
    await app[RUNS].stop()


def _find(request: web.Request) -> Run:
    run = request.app[RUNS].find(request.query.get("number", ""))
    if run is None:
        raise web.HTTPNotFound(text="Nobody has run a what-if since the console was started.")
    return run


def _subjects(result: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The first of those whose treatment differs, each with the reason."""
    told = [one for one in (result or {}).get("subjects", ()) if one["change"] in _TOLD]
    return [one | {"because": _because(one["decision"])} for one in told[:_MAX_SUBJECTS]]


def _because(decision: dict[str, Any]) -> str:
    return headline(msgspec.convert(decision, Decision))
