"""``stillwatch console``: where people see what is in force and why, and correct it."""

import asyncio
import getpass
import signal
import sys
from functools import partial

import click
from prometheus_client import CollectorRegistry
from rich.console import Console

from stream_app.adapters.admission import BrokerError, RefusedError
from stream_app.adapters.credentials import CredentialsError, check_credentials
from stream_app.adapters.operator_signatures import operator_signatures
from stream_app.adapters.operator_topic import publish
from stream_app.adapters.topic_admin import check_rights
from stream_app.console.people import PeopleError, SignIns, TokensFile, one_token, read_networks
from stream_app.console.service import Running, start_console
from stream_app.detection.policy import Policy, PolicyError, load_policy
from stream_app.logs import log_to_stderr
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import SecurityProtocol, Settings, SettingsError, load_settings
from stream_app.signatures import KeyFileError, load_signer
from stream_app.web_security import WebSecurityError, check_web_security


@click.command()
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, type=click.IntRange(0, 65_535), help="0 picks a free one.")
def console(bind: str, port: int) -> None:
    """Show what is in force and why in a web page, and let people correct it."""
    try:
        settings = load_settings()
        check_credentials(settings)
        sign_ins, token = _people(settings)
        policy = _policy(settings)
        check_web_security(settings)
        operator_signatures(settings)
        if settings.signing_key:
            load_signer(settings.signing_key)
    except (SettingsError, CredentialsError, PeopleError, PolicyError, WebSecurityError, KeyFileError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    log_to_stderr(settings)
    try:
        _check_access(settings)
        asyncio.run(_serve(settings, sign_ins, policy, (bind, port), token))
    except RefusedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"cannot listen on {bind}:{port}: {error.strerror}", err=True)
        sys.exit(1)


def _people(settings: Settings) -> tuple[SignIns, str | None]:
    """Who may sign in; without any rule for it, who has started this, by a token for this run alone."""
    proxies = read_networks(settings.console_trusted_proxies or "")
    if settings.console_tokens_file is not None:
        return SignIns(TokensFile(settings.console_tokens_file), proxies, settings.console_group_prefix), None
    if proxies:
        return SignIns({}, proxies, settings.console_group_prefix), None
    token, people = one_token(getpass.getuser())
    return SignIns(people, []), token


def _policy(settings: Settings) -> tuple[str, Policy]:
    path = settings.policy or DEFAULT_POLICY
    try:
        text = path.read_text(encoding="utf-8")
        return text, load_policy(text, str(path))
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror or error}") from error


def _check_access(settings: Settings) -> None:
    """A refusal is told at the start; a broker that is away is waited for, as it is later."""
    if settings.security_protocol is SecurityProtocol.PLAINTEXT:
        return
    try:
        check_rights(settings, "console")
    except RefusedError:
        raise
    except BrokerError:
        return


async def _serve(
    settings: Settings, sign_ins: SignIns, policy: tuple[str, Policy], address: tuple[str, int], token: str | None
) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    running = await start_console(settings, sign_ins, policy, CollectorRegistry(), address, partial(publish, settings))
    try:
        click.echo(f"console listens on {running.url}")
        if token is not None:
            click.echo(f"sign in, for this run alone: {running.url}/sign-in?token={token}")
        progress = asyncio.create_task(_show_reading(running))
        await stopping.wait()
        progress.cancel()
    finally:
        await running.stop()


async def _show_reading(running: Running) -> None:
    with Console(stderr=True).status("reading the topics") as status:
        while running.reader.age_s() is None:
            status.update(f"reading the topics: {running.reader.records_read:,} records")
            await asyncio.sleep(0.2)
    click.echo(f"ready: {running.reader.records_read:,} records read")
