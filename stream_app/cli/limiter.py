"""``stillwatch limiter``: the reference limiter as a process with an HTTP face."""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

import click
from aiohttp import web
from prometheus_client import CollectorRegistry
from rich.console import Console

from stream_app.adapters.admission import BrokerError, RefusedError
from stream_app.adapters.credentials import CredentialsError, python_security
from stream_app.adapters.topic_admin import check_rights
from stream_app.limiter import ControlTopic, DecisionsTable, Limiter, create_http_app
from stream_app.logs import log_to_stderr
from stream_app.settings import SecurityProtocol, Settings, SettingsError, load_settings
from stream_app.signatures import KeyFileError, load_verifier
from stream_app.topology import TopicName
from stream_app.web_security import WebSecurityError, guards, tls_context


@click.command()
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8088, show_default=True, type=click.IntRange(0, 65_535), help="0 picks a free one.")
@click.option("--fail-closed", is_flag=True, help="Deny every request while the decisions are unread or too old.")
@click.option(
    "--verify-key",
    "verify_keys",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Public key whose decisions are obeyed, and no others; may be given several times.",
)
def limiter(bind: str, port: int, *, fail_closed: bool, verify_keys: tuple[Path, ...]) -> None:
    """Answer /check over HTTP from the decisions on the control topic."""
    try:
        settings = load_settings()
        security = python_security(settings)
        web_guards, web_tls = guards(settings), tls_context(settings)
        verifier = load_verifier(*verify_keys) if verify_keys else None
    except (SettingsError, CredentialsError, WebSecurityError, KeyFileError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    log_to_stderr(settings)
    try:
        _check_access(settings)
    except RefusedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    registry = CollectorRegistry()
    asked = Limiter(DecisionsTable(), registry, fail_open=not fail_closed)
    control_topic = ControlTopic(
        asked,
        broker=settings.broker,
        topic=settings.topic(TopicName.DECISIONS),
        operator_topic=settings.topic(TopicName.OPERATOR),
        security=security,
        verifier=verifier,
    )
    app = create_http_app(asked, control_topic, registry, web_guards)
    control_topic.start()
    try:
        asyncio.run(_serve(app, asked, control_topic, bind=bind, port=port, tls=web_tls))
    except OSError as error:
        click.echo(f"cannot listen on {bind}:{port}: {error.strerror}", err=True)
        sys.exit(1)
    finally:
        control_topic.stop()


def _check_access(settings: Settings) -> None:
    """A refusal is told at the start; a broker that is away is waited for, as it is later."""
    if settings.security_protocol is SecurityProtocol.PLAINTEXT:
        return
    try:
        check_rights(settings, "limiter")
    except RefusedError:
        raise
    except BrokerError:
        return


async def _serve(
    app: web.Application,
    asked: Limiter,
    control_topic: ControlTopic,
    *,
    bind: str,
    port: int,
    tls: ssl.SSLContext | None,
) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, bind, port, ssl_context=tls).start()
        host, bound_port = runner.addresses[0][:2]
        click.echo(f"limiter listens on {'https' if tls else 'http'}://{host}:{bound_port}")
        progress = asyncio.create_task(_show_reading(asked, control_topic))
        await stopping.wait()
        progress.cancel()
    finally:
        await runner.cleanup()


async def _show_reading(asked: Limiter, control_topic: ControlTopic) -> None:
    with Console(stderr=True).status("reading decisions") as status:
        while asked.fault(asked.now_ms()) == "table_not_ready":
            status.update(f"reading decisions: {control_topic.records_read:,} records")
            await asyncio.sleep(0.2)
    click.echo(f"ready: {control_topic.records_read:,} records read")
