"""``stillwatch dead-letters``: what was refused, and sending it again once it would not be."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

import click
import orjson
from msgspec import structs
from rich.console import Console
from rich.progress import Progress

from stream_app.adapters.dead_letters import Again, KeptLetter, prepare, read_dead_letters, send_again
from stream_app.adapters.decision_log import DecisionLogError, Unreadable
from stream_app.adapters.operator_topic import PublishError
from stream_app.cli.decisions import DEFAULT_LIMIT, instant
from stream_app.cli.operator_records import settings_or_refuse
from stream_app.detection.decode import RejectReason
from stream_app.gateways.events import UnmappedReason
from stream_app.quantities import clock, printable
from stream_app.settings import Settings

#: Letters that are left are named up to so many; they mostly have the same problem.
SHOWN_LEFT = 20
#: Workers' reasons, then those of gateways' logs.
_REASONS = list(dict.fromkeys([*map(str, RejectReason), *map(str, UnmappedReason)]))
#: Dead letters read between two updates of the status line.
_STATUS_STEP = 1_000


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at inputs that were refused, and send them again."""
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--since", metavar="T", callback=instant, help="Only what was refused then or later (UTC)."),
        click.option("--place", metavar="P", help="Only this input, or all of a topic or partition, as list shows it."),
        click.option("--reason", type=click.Choice(_REASONS), help="Only this reason."),
    ):
        command = decorate(command)
    return command


@dead_letters.command("list")
@_filters
@click.option("--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, one object a line, with the input's bytes as text.")
def list_letters(*, reason: str | None, place: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """List dead letters, newest first: when, why, where the input lies, and what is wrong with it."""
    settings = settings_or_refuse()
    for letter in reversed(deque(_read(settings, reason, place, since), limit)):
        if as_json:
            original = None if letter.original is None else letter.original.decode(errors="replace")
            click.echo(orjson.dumps(structs.asdict(letter) | {"original": original}))
        else:
            detail = printable(letter.detail)
            click.echo(f"{clock(letter.at.isoformat())}  {letter.reason}  {letter.place}  {detail}")


@dead_letters.command()
@_filters
@click.option("--force", is_flag=True, help="Send also what would be refused again.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
def replay(*, reason: str | None, place: str | None, since: datetime | None, force: bool, is_sure: bool) -> None:
    """Send inputs again to the topic they came from; exit 1 if any is left that would be refused again."""
    settings = settings_or_refuse()
    now_ms = round(time.time() * 1000)
    # an input that was refused twice, before and after a crash, is one
    letters = {letter.place: letter for letter in _read(settings, reason, place, since)}
    prepared = [prepare(letter, settings, now_ms) for letter in letters.values()]
    sent = [again for again in prepared if again.value is not None and (force or again.problem is None)]
    left = [again for again in prepared if again not in sent]
    _name(left)
    if sent and not is_sure:
        topics = ", ".join(sorted({again.letter.topic for again in sent}))
        click.confirm(f"send {len(sent):,} of {len(prepared):,} inputs again to {topics}?", abort=True, err=True)
    _send(settings, sent)
    click.echo(f"{len(sent):,} sent again, {len(left):,} left")
    if left:
        sys.exit(1)


def _name(left: list[Again]) -> None:
    for again in left[:SHOWN_LEFT]:
        click.echo(f"left: {again.letter.place}: {printable(again.problem or '')}", err=True)
    if len(left) > SHOWN_LEFT:
        click.echo(f"left: {len(left) - SHOWN_LEFT:,} more", err=True)


def _send(settings: Settings, sent: list[Again]) -> None:
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("sending again", total=len(sent))
        try:
            send_again(settings, sent, lambda: progress.advance(task))
        except PublishError as error:
            raise click.ClickException(str(error)) from error


def _read(settings: Settings, reason: str | None, place: str | None, since: datetime | None) -> list[KeptLetter]:
    unreadable: list[Unreadable] = []
    found: list[KeptLetter] = []
    try:
        with Console(stderr=True).status("reading dead letters") as status:
            for count, letter in enumerate(read_dead_letters(settings), 1):
                if count % _STATUS_STEP == 0:
                    status.update(f"reading dead letters: {count:,}")
                if isinstance(letter, Unreadable):
                    unreadable.append(letter)
                elif (
                    (reason is None or letter.reason == reason)
                    and (place is None or f"{letter.place}/".startswith(f"{place.rstrip('/')}/"))
                    and (since is None or letter.at >= since)
                ):
                    found.append(letter)
    except DecisionLogError as error:
        raise click.ClickException(str(error)) from error
    if unreadable:
        last = unreadable[-1]
        click.echo(f"unreadable: {len(unreadable):,}; last {last.place}: {last.problem}", err=True)
    return found
