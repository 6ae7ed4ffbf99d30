"""What stands before every page: who asks, whether a form is ours, and headers that leave a browser no room."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from stream_app.console.people import Person, Role, SignIns

#: Nothing but our own files, no inline script or style, no frame, no form to elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
COOKIE = "stillwatch-session"
FORM_TOKEN = "form_token"  # noqa: S105 - a field's name
#: A form is a few fields; more is refused unread.
MAX_FORM_BYTES = 64 * 1024
#: Paths that need nobody: probes, the sign-in page and what it is drawn with.
_OPEN = ("/health", "/ready", "/metrics", "/sign-in", "/static/")

PERSON: web.RequestKey[Person] = web.RequestKey("person", Person)
#: Seconds since 1970.
CLOCK: web.AppKey[Callable[[], float]] = web.AppKey("clock", Callable)  # type: ignore[arg-type]
SIGN_INS: web.AppKey[SignIns] = web.AppKey("sign_ins", SignIns)
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def set_headers(request: web.Request, handler: Next) -> web.StreamResponse:
    """Put the headers on every answer, also on errors."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    if not response.prepared:
        response.headers.update(HEADERS)
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
    return response


@web.middleware
async def know_person(request: web.Request, handler: Next) -> web.StreamResponse:
    """Find out who asks; who has not signed in is sent to do so."""
    if request.path.startswith(_OPEN):
        return await handler(request)
    sign_ins = request.app[SIGN_INS]
    person = sign_ins.by_proxy(request.remote, request.headers) or sign_ins.by_session(
        request.cookies.get(COOKIE, ""), request.app[CLOCK]()
    )
    if person is None:
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            raise web.HTTPSeeOther(f"/sign-in?next={quote(request.path_qs, safe='')}")
        raise web.HTTPUnauthorized(text="sign in first")
    request[PERSON] = person
    return await handler(request)


@web.middleware
async def check_form(request: web.Request, handler: Next) -> web.StreamResponse:
    """Refuse a form that another site has sent, or that has no token of the person's own."""
    if request.method in {"GET", "HEAD"}:
        return await handler(request)
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise web.HTTPForbidden(text="a form of another site is not accepted")
    if request.path == "/sign-in":
        return await handler(request)
    form = await request.post()
    token = form.get(FORM_TOKEN, "")
    if not isinstance(token, str) or not request.app[SIGN_INS].is_form_token(request[PERSON], token):
        raise web.HTTPForbidden(text="the form is too old, or not ours: load the page again")
    return await handler(request)


def need(request: web.Request, role: Role) -> Person:
    """The person who asks; refuses whose role is not enough."""
    person = request[PERSON]
    if not person.role.covers(role):
        raise web.HTTPForbidden(text=f"this needs the role {role}; {person.name} is {person.role}")
    return person


def local_path(text: str) -> str:
    """A path of ours to go on to; anything else leads to the first page."""
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_ours else "/"
