"""Questions that gateways ask by passing on a request's headers: Envoy's ext_authz and nginx' auth_request."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from stream_app.limiter.checks import Limiter
from stream_app.limiter.gateway_headers import answer_headers, read_facts

#: Envoy hands any answer but 200 on to the client as it is.
EXT_AUTHZ_DENIED = 429
#: nginx takes 2xx, 401 and 403 from a subrequest and makes a 500 of everything else; its configuration turns this
#: into a 429 with our headers.
AUTH_REQUEST_DENIED = 403


def gateway_routes(limiter: Limiter, names: Mapping[str, str]) -> list[web.RouteDef]:
    """Routes of both; ``names`` are the header names by field, of ``header_names``.

    Whatever the method and the rest of the path are, the headers alone are looked at. A request that they do not
    identify is answered as without decisions: allowed, unless the limiter fails closed.
    """

    def answer(request: web.Request, denied: int) -> web.Response:
        try:
            allowance = limiter.check(read_facts(request.headers, names))
        except ValueError:
            allowance = limiter.check_unidentified()
        headers = answer_headers(allowance)
        if allowance.allowed:
            return web.Response(status=200, headers=headers)
        body = {
            "error": {
                "type": "rate_limit_exceeded",
                "code": allowance.reason_code,
                "message": "requests are limited by the provider",
                "decision_id": allowance.decision_id,
                "retry_after_s": allowance.retry_after_s,
            }
        }
        return web.Response(status=denied, headers=headers, body=orjson.dumps(body), content_type="application/json")

    async def ext_authz(request: web.Request) -> web.Response:
        return answer(request, EXT_AUTHZ_DENIED)

    async def auth_request(request: web.Request) -> web.Response:
        return answer(request, AUTH_REQUEST_DENIED)

    return [web.route("*", "/ext_authz{path:.*}", ext_authz), web.route("*", "/auth_request", auth_request)]
