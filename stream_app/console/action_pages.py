"""What forms are sent to: actions, which become operator records, and signing in and out."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog
from aiohttp import web

from stream_app.adapters.operator_topic import PublishError
from stream_app.console.actions import ActionError, Asked, record_of, role_needed
from stream_app.console.guards import COOKIE, SIGN_INS, local_path, need
from stream_app.console.people import SESSION_S, Role
from stream_app.console.rendering import DESK, render

_log = structlog.get_logger()


async def act(request: web.Request) -> web.Response:
    """Write the operator record that a form asks for, and go back to where it was filled in."""
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    desk = request.app[DESK]
    asked = Asked(**{name: form.get(name, "").strip() for name in Asked.__struct_fields__})
    person = need(request, _role(request, asked))
    back = local_path(form.get("back", "/"))
    try:
        record = record_of(asked, person, desk.view, datetime.fromtimestamp(desk.clock(), UTC))
        offset = await asyncio.to_thread(desk.publish, record)
    except (ActionError, PublishError) as error:
        return render(request, "refused.html", status=400, told=str(error), back=back)
    _log.info("operator record written", type=record.type, record=record.id, by=record.by, offset=offset)
    raise web.HTTPSeeOther(_with(back, recorded=record.id))


async def sign_in_page(request: web.Request) -> web.Response:
    """Ask for a token, or take the one that comes with the address the console has printed at its start."""
    if token := request.query.get("token"):
        return _let_in(request, token, local_path(request.query.get("next", "/")))
    return _ask(request, "")


async def sign_in(request: web.Request) -> web.Response:
    """Take a token from the form."""
    form = await request.post()
    return _let_in(request, str(form.get("token", "")).strip(), local_path(str(form.get("next", "/"))))


async def sign_out(_request: web.Request) -> web.Response:
    """Forget who it is."""
    answer = web.Response(status=303, headers={"Location": "/sign-in"})
    answer.del_cookie(COOKIE)
    return answer


def _role(request: web.Request, asked: Asked) -> Role:
    """What undoing takes is what the record took."""
    if not asked.undoes:
        return role_needed(asked.type)
    words = request.app[DESK].view.words
    return next((role_needed(one.record.type) for one in words if one.record.id == asked.undoes), Role.ANALYST)


def _let_in(request: web.Request, token: str, following: str) -> web.Response:
    person = request.app[SIGN_INS].by_token(token)
    if person is None:
        _log.warning("a token was refused", peer=request.remote)
        return _ask(request, "This token is nobody's.")
    answer = web.Response(status=303, headers={"Location": following})
    session = request.app[SIGN_INS].session_of(person, request.app[DESK].clock())
    answer.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="Lax", secure=request.secure)
    return answer


def _ask(request: web.Request, problem: str) -> web.Response:
    has_tokens = request.app[SIGN_INS].has_tokens
    return render(
        request,
        "sign-in.html",
        status=401 if problem else 200,
        wrong=problem,
        has_tokens=has_tokens,
        following=local_path(request.query.get("next", "/")),
    )


def _with(path: str, **query: Any) -> str:
    parts = urlsplit(path)
    given = dict(parse_qsl(parts.query)) | query
    return f"{parts.path}?{urlencode(given)}"
