"""HTTP face of a limiter, for gateways that cannot embed it: questions, /ready, /health and /metrics."""

from collections.abc import Mapping, Sequence

import msgspec
import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from stream_app.limiter.allowances import Allowance
from stream_app.limiter.checks import Limiter, RequestFacts
from stream_app.limiter.control_topic import ControlTopic
from stream_app.limiter.gateway_face import gateway_routes
from stream_app.limiter.gateway_headers import DEFAULT_NAMES

#: A question is in its address; no body is ever looked at.
MAX_BODY_BYTES = 65_536


def create_http_app(
    limiter: Limiter,
    control_topic: ControlTopic,
    registry: CollectorRegistry,
    guards: Sequence[Middleware] = (),
    *,
    names: Mapping[str, str] = DEFAULT_NAMES,
) -> web.Application:
    """The web application behind ``guards``; the caller binds and runs it.

    ``GET`` or ``POST /check?tenant_id=…&account_id=…`` (and the other fields of ``RequestFacts``): 200 allowed,
    429 denied with ``Retry-After`` in seconds, 400 with the reason when the question cannot be read. Gateways that
    pass on headers ask at ``/ext_authz`` and ``/auth_request``, by the header ``names``.
    """

    async def check(request: web.Request) -> web.Response:
        try:
            facts = _facts(request)
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        return _answer(limiter.check(facts))

    async def ready(_request: web.Request) -> web.Response:
        fault = limiter.fault(limiter.now_ms())
        return _json({"ready": fault is None, "reason": fault}, status=503 if fault else 200)

    async def health(_request: web.Request) -> web.Response:
        is_running = control_topic.is_running()
        return _json({"healthy": is_running}, status=200 if is_running else 503)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=guards, client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            web.get("/check", check),
            web.post("/check", check),
            web.get("/ready", ready),
            web.get("/health", health),
            web.get("/metrics", metrics),
            *gateway_routes(limiter, names),
        ]
    )
    return app


def _facts(request: web.Request) -> RequestFacts:
    given = dict(request.query)
    if len(given) != len(request.query):
        raise ValueError("a parameter is given twice")
    return msgspec.convert(given, RequestFacts, strict=False)


def _answer(allowance: Allowance) -> web.Response:
    answer = {
        "allowed": allowance.allowed,
        "action": allowance.action,
        "reason": allowance.reason_code,
        "decision_id": allowance.decision_id,
        "simulated": allowance.simulated,
    }
    if allowance.allowed:
        return _json(answer, status=200)
    return _json(answer, status=429, headers={"Retry-After": str(allowance.retry_after_s)})


def _json(content: dict[str, object], *, status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, headers=headers, content_type="application/json")
