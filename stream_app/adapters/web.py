"""``/metrics``, ``/health`` and ``/ready`` of a worker."""

from collections.abc import Callable

from aiohttp import web
from mode import Service
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from stream_app.settings import Settings
from stream_app.web_security import MAX_BODY_BYTES, guards, tls_context


class WebFace(Service):
    """A small HTTP server beside the stream; ``why_not_ready`` returns nothing once the worker does its work."""

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, why_not_ready: Callable[[], str | None]
    ) -> None:
        super().__init__()
        self._settings = settings
        self._registry = registry
        self._why_not_ready = why_not_ready
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        """Bind; raises ``OSError`` when the port is taken, ``WebSecurityError`` when a file cannot be used."""
        settings = self._settings
        site = web.Application(middlewares=guards(settings), client_max_size=MAX_BODY_BYTES)
        site.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/health", self._health),
                web.get("/ready", self._ready),
            ]
        )
        self._runner = web.AppRunner(site, access_log=None)
        await self._runner.setup()
        tls = tls_context(settings)
        await web.TCPSite(self._runner, settings.web_bind, settings.web_port, ssl_context=tls).start()

    async def on_stop(self) -> None:
        """Close the socket."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        """As text, or as OpenMetrics with exemplars for who accepts that."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _ready(self, _: web.Request) -> web.Response:
        if reason := self._why_not_ready():
            return web.json_response({"status": "not ready", "reason": reason}, status=503)
        return web.json_response({"status": "ready"})
