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
from stream_app.adapters.operator_signatures import operator_signatures
from stream_app.adapters.topic_admin import check_rights
from stream_app.limiter import ControlTopic, DecisionsTable, Limiter, create_http_app
from stream_app.limiter.gateway_headers import FIELDS, header_names
from stream_app.limiter.haproxy_map import HaproxyMap
from stream_app.limiter.mirrors import Mirror, Target
from stream_app.limiter.redis_mirror import RedisMirror
from stream_app.logs import log_to_stderr
from stream_app.settings import SecurityProtocol, Settings, SettingsError, load_settings
from stream_app.signatures import KeyFileError, load_verifier
from stream_app.topology import TopicName
from stream_app.web_security import WebSecurityError, guards, tls_context


def _header_names(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if not all(name for _, _, name in pairs):
        raise click.BadParameter("not FIELD=NAME")
    try:
        return header_names({field: name for field, _, name in pairs})
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


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
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="FIELD=NAME",
    callback=_header_names,
    help=f"Header in which gateways tell a field ({', '.join(FIELDS)}); repeatable.",
)
@click.option("--haproxy-socket", metavar="PATH", help="Keep a map of HAProxy in step, through this stats socket.")
@click.option("--haproxy-map", metavar="FILE", help="The map's file, written as in HAProxy's configuration.")
@click.option("--redis", "redis_url", metavar="URL", help="Keep a copy of all decisions in this Redis.")
@click.option("--redis-password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def limiter(
    *,
    bind: str,
    port: int,
    fail_closed: bool,
    verify_keys: tuple[Path, ...],
    headers: dict[str, str],
    haproxy_socket: str | None,
    haproxy_map: str | None,
    redis_url: str | None,
    redis_password_file: Path | None,
) -> None:
    """Answer gateways over HTTP from the decisions on the control topic."""
    try:
        settings = load_settings()
        security = python_security(settings)
        web_guards, web_tls = guards(settings), tls_context(settings)
        verifier = load_verifier(*verify_keys) if verify_keys else None
        signatures = operator_signatures(settings)
        targets = _targets(haproxy_socket, haproxy_map, redis_url, redis_password_file)
    except (SettingsError, CredentialsError, WebSecurityError, KeyFileError, OSError, ValueError) as error:
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
        operator_signatures=signatures,
    )
    app = create_http_app(asked, control_topic, registry, web_guards, names=headers)
    mirrors = [Mirror(asked, target) for target in targets]
    control_topic.start()
    for mirror in mirrors:
        mirror.start()
    try:
        asyncio.run(_serve(app, asked, control_topic, bind=bind, port=port, tls=web_tls))
    except OSError as error:
        click.echo(f"cannot listen on {bind}:{port}: {error.strerror}", err=True)
        sys.exit(1)
    finally:
        control_topic.stop()
        for mirror in mirrors:
            mirror.stop()


def _targets(
    haproxy_socket: str | None, haproxy_map: str | None, redis_url: str | None, password_file: Path | None
) -> list[Target]:
    """Raises ``ValueError`` or ``OSError`` when an option cannot be used."""
    targets: list[Target] = []
    if (haproxy_socket is None) != (haproxy_map is None):
        raise ValueError("--haproxy-socket and --haproxy-map belong together")
    if haproxy_socket is not None and haproxy_map is not None:
        targets.append(HaproxyMap(haproxy_socket, haproxy_map))
    if redis_url is not None:
        password = None if password_file is None else password_file.read_text(encoding="utf-8").strip()
        targets.append(RedisMirror(redis_url, password))
    return targets


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
