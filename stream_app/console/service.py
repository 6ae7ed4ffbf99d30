"""A running console: the topics' reader, the watch on workers and the web server, started and stopped together."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.console.extracts import Extracts
from stream_app.console.people import SignIns
from stream_app.console.rendering import Desk
from stream_app.console.server import create_console_app
from stream_app.console.topics import TopicsReader
from stream_app.console.view import TopicRecord, View
from stream_app.console.worker_watch import WorkerWatch
from stream_app.detection.operators import OperatorRecord
from stream_app.detection.policy import Policy
from stream_app.settings import Settings
from stream_app.web_security import guards, tls_context

#: Pages are answered within a second; open streams are let go before.
_STOP_S = 3.0


class Running:
    """What has been started, and where it listens."""

    def __init__(
        self, url: str, reader: TopicsReader, watch: WorkerWatch, extracts: Extracts, runner: web.AppRunner
    ) -> None:
        self.url = url
        self.reader = reader
        self._watch = watch
        self._extracts = extracts
        self._runner = runner

    async def stop(self) -> None:
        """End everything; what is being read for a figure is left to end with the process."""
        await self._watch.stop()
        await self._runner.cleanup()
        self._extracts.stop()
        await asyncio.to_thread(self.reader.stop)


async def start_console(  # noqa: PLR0917
    settings: Settings,
    sign_ins: SignIns,
    policy: tuple[str, Policy],
    registry: CollectorRegistry,
    address: tuple[str, int],
    publish: Callable[[OperatorRecord], int],
) -> Running:
    """Start on this event loop, with this text and policy until an operator has set one.

    Raises ``OSError`` when the address cannot be listened on, ``WebSecurityError``.
    """
    view, extracts, watch = View(), Extracts(), WorkerWatch(settings.console_workers or "")
    loop = asyncio.get_running_loop()

    def deliver(records: list[TopicRecord]) -> None:
        """The view belongs to the event loop; the reading thread waits until it has taken the records in."""
        asyncio.run_coroutine_threadsafe(_apply(view, records), loop).result()

    reader = TopicsReader(settings, deliver)
    text, seed = policy
    desk = Desk(settings, view, reader, extracts, seed, publish, watch.health, seed_text=text)
    # People sign in; the token that programs show elsewhere is not theirs.
    limits = guards(settings.model_copy(update={"web_token_file": None, "web_client_ca_file": None}))
    tls = tls_context(settings)
    app = create_console_app(desk, sign_ins, registry, limits)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address, ssl_context=tls).start()
    except OSError:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    reader.start()
    watch.start()
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - of a container, and a link needs a host
    return Running(f"{'https' if tls else 'http'}://{shown}:{port}", reader, watch, extracts, runner)


async def _apply(view: View, records: list[TopicRecord]) -> None:
    view.apply(records)
