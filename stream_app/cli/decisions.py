"""``stillwatch decisions``: what has been decided, and why."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

import click
from msgspec import json
from rich.console import Console

from stream_app.adapters.decision_log import DecisionLogError, Unreadable, read_file, read_topic
from stream_app.cli.explanations import SUFFIXES, draw, refuse, rules_of
from stream_app.detection.decisions import Action, Decision, split_key
from stream_app.quantities import clock
from stream_app.settings import SettingsError, load_settings
from stream_app.stories import Background, headline, tell

DEFAULT_LIMIT = 50
#: Decisions read between two updates of the status line.
_STATUS_STEP = 1_000


def _from_option(command: Callable[..., None]) -> Callable[..., None]:
    decorate: Any = click.option(
        "--from",
        "file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="A replay's decisions.jsonl instead of the decision log on Kafka.",
    )
    decorated: Callable[..., None] = decorate(command)
    return decorated


def instant(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """A time in a click option, UTC unless it says otherwise."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a time such as 2025-06-02T14:00:00Z or 2025-06-02") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@click.group()
def decisions() -> None:
    """Read the decision log: every decision ever made, with its evidence."""
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@decisions.command("list")
@click.option("--action", type=click.Choice([action.value for action in Action]), help="Only this action.")
@click.option("--subject", metavar="S", help="Only this subject: a tenant or account, or a key such as tenant:acme.")
@click.option("--since", metavar="T", callback=instant, help="Only decisions of this event time or later (UTC).")
@click.option("--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True, help="At most so many.")
@_from_option
@click.option("--json", "as_json", is_flag=True, help="Write decisions as JSON, one a line.")
def list_decisions(
    *, action: str | None, subject: str | None, since: datetime | None, limit: int, file: Path | None, as_json: bool
) -> None:
    """List decisions, newest first."""
    newest = _Newest(limit)
    for decision in _readable(file):
        if (
            (action is None or decision.action == action)
            and (subject is None or _is_about(decision, subject))
            and (since is None or datetime.fromisoformat(decision.issued_at) >= since)
        ):
            newest.add(decision)
    for decision in newest.newest_first():
        if as_json:
            click.echo(json.encode(decision))
        else:
            click.echo(f"{clock(decision.issued_at)}  {decision.decision_id}  {headline(decision)}")


@decisions.command()
@click.argument("decision_id", metavar="ID")
@_from_option
@click.option("--json", "as_json", is_flag=True, help="Write the decision as one JSON object.")
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the series behind it, with the usual range and the moment, as .png or .svg.",
)
@click.option(
    "--events",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Events to draw from instead of the topic's, as replay takes them.",
)
def explain(*, decision_id: str, file: Path | None, as_json: bool, plot: Path | None, events: tuple[Path, ...]) -> None:
    """Tell what was seen, what is usual, what follows and where the evidence lies."""
    if plot is not None and plot.suffix.lower() not in SUFFIXES:
        refuse(f"{plot}: a plot is written to a file that ends in {' or '.join(SUFFIXES)}")
    if plot is not None and file is not None and not events:
        refuse("--plot with --from needs the replayed events: --events FILE")
    found = next((decision for decision in _readable(file) if decision.decision_id == decision_id), None)
    if found is None:
        raise click.ClickException(f"no decision {decision_id!r} in {file or 'the decision log'}")
    of_subject = _of_subject(found, file)
    rules = rules_of(found, is_live=file is None)
    if as_json:
        click.echo(json.encode(found))
    else:
        before, after = _neighbours(found, of_subject)
        click.echo(tell(found, Background(rules.policy, rules.word_behind(found), before, after)))
    if plot is not None:
        draw(found, of_subject, rules, plot, events)
        click.echo(f"{plot}", err=True)


def _of_subject(found: Decision, file: Path | None) -> list[Decision]:
    """Every decision on the same subject, in order; a repeat after a crash is the same one."""
    same = {one.decision_id: one for one in _readable(file, says_unreadable=False) if one.key == found.key}
    return sorted(same.values(), key=lambda one: one.revision)


def _neighbours(found: Decision, of_subject: list[Decision]) -> tuple[Decision | None, Decision | None]:
    place = [one.decision_id for one in of_subject].index(found.decision_id)
    before = of_subject[place - 1] if place else None
    return before, of_subject[place + 1] if place + 1 < len(of_subject) else None


def _readable(file: Path | None, *, says_unreadable: bool = True) -> Iterator[Decision]:
    """The log's decisions; those that cannot be read are named at the end, on stderr."""
    unreadable: list[Unreadable] = []
    count = 0
    try:
        with Console(stderr=True).status("reading decisions") as status:
            for count, one in enumerate(_source(file), 1):
                if count % _STATUS_STEP == 0:
                    status.update(f"reading decisions: {count:,}")
                if isinstance(one, Unreadable):
                    unreadable.append(one)
                else:
                    yield one
    except DecisionLogError as error:
        raise click.ClickException(str(error)) from error
    if unreadable and says_unreadable:
        last = unreadable[-1]
        click.echo(f"unreadable: {len(unreadable):,} of {count:,}; last {last.place}: {last.problem}", err=True)


def _source(file: Path | None) -> Iterator[Decision | Unreadable]:
    if file is not None:
        if not file.exists():
            refuse(f"{file}: no such file")
        return read_file(file)
    try:
        return read_topic(load_settings())
    except SettingsError as error:
        refuse(str(error))


def _is_about(decision: Decision, subject: str) -> bool:
    _, parts = split_key(decision.key)
    return subject in {decision.key, decision.subject, decision.tenant_id, "/".join(parts)}


class _Ranked(NamedTuple):
    """A place in the heap; the id settles what was decided in the same millisecond."""

    issued_at: datetime
    revision: int
    decision_id: str


class _Newest:
    """The newest ``limit`` decisions of a log in any order; a repeat of one that is kept is left out."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[_Ranked] = []
        self._kept: dict[str, Decision] = {}

    def add(self, decision: Decision) -> None:
        if decision.decision_id in self._kept:
            return
        rank = _Ranked(datetime.fromisoformat(decision.issued_at), decision.revision, decision.decision_id)
        if len(self._heap) == self._limit:
            if rank <= self._heap[0]:
                return
            del self._kept[heappop(self._heap).decision_id]
        heappush(self._heap, rank)
        self._kept[decision.decision_id] = decision

    def newest_first(self) -> Iterator[Decision]:
        return (self._kept[rank.decision_id] for rank in sorted(self._heap, reverse=True))
