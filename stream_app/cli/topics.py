"""``stillwatch topics``: create the topics of the map, or compare a broker's with it."""

import logging
import sys

import click
import orjson
from msgspec import to_builtins
from rich.console import Console

from stream_app.adapters.admission import BrokerError
from stream_app.adapters.topic_admin import check_topics, create_topics
from stream_app.settings import Settings, SettingsError, load_settings


@click.group()
def topics() -> None:
    """Create and check the topics on the broker STILLWATCH_BROKER."""
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def create(as_json: bool) -> None:
    """Create the topics that are missing; existing ones are left as they are."""
    settings = _settings()
    try:
        with Console(stderr=True).status(f"creating topics on {settings.broker}"):
            answer = create_topics(settings)
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(orjson.dumps(to_builtins(answer)))
        return
    for name in answer.created:
        click.echo(f"created  {name}")
    for name in answer.existing:
        click.echo(f"exists   {name}")


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def check(as_json: bool) -> None:
    """Name every difference between the broker's topics and what Stillwatch needs; exit 1 if there is any."""
    settings = _settings()
    try:
        with Console(stderr=True).status(f"asking {settings.broker} for its topics"):
            differences = check_topics(settings)
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(orjson.dumps({"ok": not differences, "differences": to_builtins(differences)}))
    else:
        click.echo("\n".join(map(str, differences)) or "ok")
    if differences:
        sys.exit(1)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
