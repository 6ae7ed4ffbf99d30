"""``stillwatch gateway-events``: what a gateway logs becomes events on the requests topic."""

import logging
import sys
from collections.abc import Iterator, Set
from datetime import datetime
from pathlib import Path

import click
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from stream_app.adapters.admission import BrokerError, check_admission
from stream_app.adapters.credentials import CredentialsError
from stream_app.adapters.decision_log import DecisionLogError
from stream_app.cli.decisions import instant
from stream_app.gateways.identities import IdentityError, read_identities
from stream_app.gateways.lines import GATEWAYS, read_line
from stream_app.gateways.logs import (
    Line,
    LogError,
    lines_of_file,
    lines_of_places,
    lines_of_topic,
    name_of_file,
    refused_places,
)
from stream_app.gateways.prompts import Sketcher
from stream_app.gateways.sending import Sender, SendError
from stream_app.settings import Settings, SettingsError, load_settings
from stream_app.sketches import Key, KeyFileError, PromptScorer, load_key


@click.command(name="gateway-events")
@click.option("--from", "kind", type=click.Choice(sorted(GATEWAYS)), required=True, help="What writes the log.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="JSON lines; - is standard input.")
@click.option("--topic", help="A Kafka topic of the same broker; it is followed until Ctrl-C.")
@click.option("--until-end", is_flag=True, help="With --topic: stop where the topic ends now.")
@click.option("--tenant", help="Fields with commas; the first that a record has is the tenant.")
@click.option("--account", help="Likewise the account; a tenant without one is its own account.")
@click.option(
    "--key-file",
    envvar="STILLWATCH_SKETCH_KEY_FILE",
    type=click.Path(path_type=Path),
    help="Key of the sketches; without it no sketch is made.  [env: STILLWATCH_SKETCH_KEY_FILE]",
)
@click.option(
    "--exchange-key-file",
    envvar="STILLWATCH_EXCHANGE_KEY_FILE",
    type=click.Path(path_type=Path),
    help="Key shared with partners.  [env: STILLWATCH_EXCHANGE_KEY_FILE]",
)
@click.option(
    "--refused-since",
    metavar="T",
    callback=instant,
    help="Only lines of this log that became dead letters then or later (UTC), once their cause is mended.",
)
def gateway_events(
    *,
    kind: str,
    path: Path | None,
    topic: str | None,
    until_end: bool,
    tenant: str | None,
    account: str | None,
    key_file: Path | None,
    exchange_key_file: Path | None,
    refused_since: datetime | None,
) -> None:
    """Map the requests that a gateway logs to events v1, and send them; no text of a prompt is sent."""
    if (path is None) == (topic is None):
        raise click.UsageError("give one of --file and --topic")
    try:
        settings = load_settings()
        key = load_key(key_file) if key_file else None
        exchange = load_key(exchange_key_file) if exchange_key_file else None
        gateway = GATEWAYS[kind]
        to = read_identities(tenant or gateway.tenant, gateway.account if account is None else account, key)
    except (SettingsError, KeyFileError, IdentityError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    sketcher = None if key is None else _sketcher(key, exchange)
    try:
        check_admission(settings)
        places = None if refused_since is None else _refused(settings, path, topic, refused_since)
        sender = Sender(settings, f"/gateways/{kind}", places)
        for line in _shown(_lines(settings, path, topic, sender, places, until_end=until_end)):
            sender.send(line, read_line(line.value, kind, to, sketcher))
        sender.finish()
    except (BrokerError, LogError, SendError, CredentialsError, DecisionLogError) as error:
        raise click.ClickException(str(error)) from error
    except KafkaException as error:
        raise click.ClickException(f"{settings.broker}: {error.args[0].str()}") from error
    click.echo(f"{sender.events:,} events sent, {sender.refused:,} dead letters")
    if places and (gone := len(places) - sender.events - sender.refused):
        click.echo(f"{gone:,} are not in the log any more", err=True)
    if sender.refused:
        sys.exit(1)


def _sketcher(key: Key, exchange: Key | None) -> Sketcher:
    return Sketcher(key, exchange, PromptScorer.load())


def _refused(settings: Settings, path: Path | None, topic: str | None, since: datetime) -> Set[str]:
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    source = topic or name_of_file(path or Path("-"))
    with Console(stderr=True).status("reading dead letters"):
        return refused_places(settings, source, since)


def _lines(
    settings: Settings,
    path: Path | None,
    topic: str | None,
    sender: Sender,
    places: Set[str] | None,
    *,
    until_end: bool,
) -> Iterator[Line]:
    if topic is not None and places is not None:
        return lines_of_places(settings, topic, places)
    if topic is not None:
        return lines_of_topic(settings, topic, sender.finish, is_followed=not until_end)
    assert path is not None  # noqa: S101
    return lines_of_file(path)


def _shown(lines: Iterator[Line]) -> Iterator[Line]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} lines"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("lines", total=None)
        try:
            for line in lines:
                yield line
                progress.advance(task)
        except KeyboardInterrupt:
            return
