"""Tells open pages that something has changed, by server-sent events; they then load what they show anew."""

import asyncio
from contextlib import suppress

from aiohttp import web

from stream_app.console.guards import HEADERS
from stream_app.console.rendering import DESK

#: How often a page hears of changes at most; people see no faster.
_ROUND_S = 1.0
#: Rounds without news after which a comment keeps proxies from closing the connection.
_QUIET_ROUNDS = 15
#: Open pages that are told; each costs a wake-up a second.
MAX_LISTENERS = 200


class Listeners:
    """How many pages listen, and whether they are to be let go."""

    def __init__(self) -> None:
        self.count = 0
        self.is_stopping = asyncio.Event()


LISTENERS: web.AppKey[Listeners] = web.AppKey("listeners", Listeners)


async def live(request: web.Request) -> web.StreamResponse:
    """The stream: the view's version whenever it is another than the page's, which says its own as ``since``."""
    listeners = request.app[LISTENERS]
    if listeners.count >= MAX_LISTENERS:
        raise web.HTTPServiceUnavailable(text="too many pages are open")
    answer = web.StreamResponse(
        headers=HEADERS | {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await answer.prepare(request)
    listeners.count += 1
    try:
        with suppress(ConnectionResetError):
            await _tell(request, answer, listeners)
    finally:
        listeners.count -= 1
    return answer


async def _tell(request: web.Request, answer: web.StreamResponse, listeners: Listeners) -> None:
    view = request.app[DESK].view
    told, quiet = request.headers.get("Last-Event-ID") or request.query.get("since", ""), 0
    await answer.write(b"retry: 3000\n\n")
    while not listeners.is_stopping.is_set():
        if str(view.version) != told:
            told, quiet = str(view.version), 0
            await answer.write(f"event: change\nid: {told}\ndata: {told}\n\n".encode())
        elif (quiet := quiet + 1) >= _QUIET_ROUNDS:
            quiet = 0
            await answer.write(b": still here\n\n")
        with suppress(TimeoutError):
            await asyncio.wait_for(listeners.is_stopping.wait(), _ROUND_S)


async def let_go(app: web.Application) -> None:
    """End all streams, so that a stop does not wait for them."""
    app[LISTENERS].is_stopping.set()
