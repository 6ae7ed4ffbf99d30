"""What the commands share that write an operator record: who orders it and why, and what is said afterwards."""

import getpass
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, NamedTuple

import click
import msgspec
import orjson
from rich.console import Console

from stream_app.adapters.operator_topic import InvalidRecordError, PublishError, new_record, publish
from stream_app.cli.explanations import refuse
from stream_app.detection.operators import RecordType
from stream_app.settings import Settings, SettingsError, load_settings
from stream_app.topology import TopicName

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Order(NamedTuple):
    """Who orders something, why, and which record it takes back, if any; ``as_json`` says how to answer."""

    by: str
    reason: str
    undoes: str | None
    as_json: bool


def orders(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an ``Order``, which it gets as its argument ``order``."""

    @wraps(command)
    def ordered(*args: Any, by: str | None, reason: str, undoes: str | None, as_json: bool, **others: Any) -> None:
        command(*args, order=Order(by or _login_name(), reason, undoes, as_json), **others)

    found: Callable[..., None] = ordered
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Write what was written as one JSON object."),
        click.option("--undoes", metavar="ID", help="Id of the record that this one takes back."),
        click.option("--by", metavar="NAME", help="Who orders it; your login name unless given."),
        click.option("--reason", required=True, metavar="TEXT", help="Why, for whoever asks later."),
    ):
        found = decorate(found)
    return found


def write(
    order: Order,
    kind: RecordType,
    undo: Callable[[str], str],
    *,
    what: str = "",
    subject: str | None = None,
    expires_at: datetime | None = None,
    body: dict[str, Any] | None = None,
) -> None:
    """Write a record and say so; ``undo`` tells by its id what takes it back. Ends the command when it cannot be.

    ``what`` stands for the subject where there is none.
    """
    settings = settings_or_refuse()
    if order.undoes:
        body = (body or {}) | {"undoes": order.undoes}
    record = new_record(
        kind, by=order.by, reason=order.reason, subject=subject, expires_at=expires_at, body=body or None
    )
    try:
        with Console(stderr=True).status(f"writing to {settings.broker}"):
            offset = publish(settings, record)
    except InvalidRecordError as error:
        refuse(f"not written: {error}")
    except PublishError as error:
        raise click.ClickException(f"not written: {error}") from error
    topic = settings.topic(TopicName.OPERATOR)
    if order.as_json:
        click.echo(orjson.dumps({"topic": topic, "offset": offset, "record": msgspec.to_builtins(record)}))
        return
    until = f" until {expires_at:%Y-%m-%d %H:%M:%S} UTC" if expires_at else ""
    click.echo(
        f"{kind.value} {subject or what}{until}: written to {topic} at offset {offset} as {record.id} by {record.by}"
    )
    click.echo(f"to undo: {undo(record.id)}")


def settings_or_refuse() -> Settings:
    """The settings, or the end of the command."""
    try:
        return load_settings()
    except SettingsError as error:
        refuse(str(error))


def ends_after(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """When a duration such as ``2h`` from now ends; a callback of click's options."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time such as 30m, 2h or 7d")
    return (datetime.now(UTC) + int(match[1]) * _UNITS[match[2]]).replace(microsecond=0)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        refuse("nobody is logged in under a name: say who orders it with --by NAME")
