"""``stillwatch digest``: the last week in a page, for the people who answer for it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from stream_app.adapters.decision_log import DecisionLogError, Unreadable, read_records, read_topic
from stream_app.adapters.operator_topic import read_operator_records
from stream_app.cli.explanations import refuse
from stream_app.detection.decisions import Decision
from stream_app.detection.operators import Enforcement, Feedback, OperatorRecord, OperatorWord
from stream_app.reports.digests import Digest, Period, to_html, to_markdown
from stream_app.reports.digests import digest as compose
from stream_app.settings import Settings, SettingsError, load_settings
from stream_app.topology import TopicName


def _span(_context: click.Context, _option: click.Parameter, text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,3})([hd])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time such as 24h or 7d")
    return timedelta(hours=int(match[1])) if match[2] == "h" else timedelta(days=int(match[1]))


@click.command()
@click.option("--since", default="7d", show_default=True, callback=_span, metavar="TIME", help="How far back.")
@click.option("--format", "form", type=click.Choice(["md", "html"]), default="md", show_default=True)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Instead of the output.")
def digest(*, since: timedelta, form: str, out: Path | None) -> None:
    """Tell what was decided lately and why, which campaigns are new, and what people took back."""
    until = datetime.now(UTC)
    try:
        with Console(stderr=True).status("reading decisions, campaigns and operator records"):
            told = _read(load_settings(), Period(until - since, until))
    except SettingsError as error:
        refuse(str(error))
    except DecisionLogError as error:
        raise click.ClickException(str(error)) from error
    text = to_html(told) if form == "html" else to_markdown(told)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror or error}") from error


def _read(settings: Settings, period: Period) -> Digest:
    return compose(period, _decisions(settings), _campaigns(settings), _words(settings))


def _decisions(settings: Settings) -> Iterator[Decision]:
    for one in read_topic(settings):
        if not isinstance(one, Unreadable):
            yield one


def _campaigns(settings: Settings) -> list[dict[str, Any]]:
    """The newest header of every campaign that the log still has, whatever became of it."""
    newest: dict[bytes, dict[str, Any]] = {}
    for record in read_records(settings, TopicName.CAMPAIGN_LOG):
        key = record.key or b""
        if record.value is not None and b"/" not in key:
            try:
                newest[key] = orjson.loads(record.value)
            except orjson.JSONDecodeError as error:
                raise DecisionLogError(f"{record.place}: not JSON: {error}") from error
    return list(newest.values())


def _words(settings: Settings) -> Iterator[OperatorRecord]:
    for written in read_operator_records(settings):
        if isinstance(written.instruction, OperatorWord | Feedback | Enforcement):
            yield written.instruction.record
