"""What ``stillwatch decisions explain`` looks up beside the decision: its policy, an operator's word, the events."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_app.adapters.decision_log import DecisionLogError, read_instructions
from stream_app.adapters.recorded_events import OnProgress, RecordsGoneError, find_span, read_span
from stream_app.detection.decisions import Decision
from stream_app.detection.operators import OperatorRecord, OperatorWord, SetPolicy
from stream_app.detection.policy import Policy, PolicyError, load_policy
from stream_app.memberships import is_membership, is_shared_value
from stream_app.plots.explanations import NothingRecordedError, Recorded, picture_of
from stream_app.plots.memberships import compose_member
from stream_app.plots.pictures import Drawing, compose, to_standalone_svg
from stream_app.plots.rasters import to_png
from stream_app.policies import DEFAULT_POLICY
from stream_app.reports.lines import EventFiles, UnreadableError
from stream_app.settings import SettingsError, load_settings
from stream_app.stories import follows

SUFFIXES = (".png", ".svg")


class Rules(NamedTuple):
    """What held when a decision was made: its policy, or else the one of the settings, and operators' words so far."""

    policy: Policy
    words: list[OperatorWord]

    def word_behind(self, decision: Decision) -> OperatorRecord | None:
        """The operator record that a decision follows."""
        return next((word.record for word in self.words if follows(decision, word.record)), None)


def rules_of(decision: Decision, *, is_live: bool) -> Rules:
    """Read the rules that a decision was made by."""
    rules = Rules(_file_policy(), [])
    if is_live:
        try:
            for instruction in read_instructions(load_settings()):
                if not isinstance(instruction, SetPolicy):
                    rules.words.append(instruction)
                elif instruction.policy.version == decision.policy.version:
                    rules = rules._replace(policy=instruction.policy)
        except DecisionLogError as error:
            click.echo(f"operator records are left out: {error}", err=True)
    return rules


def _file_policy() -> Policy:
    try:
        path = load_settings().policy or DEFAULT_POLICY
        return load_policy(path.read_text(encoding="utf-8"), str(path))
    except (SettingsError, PolicyError) as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror or error}")


def draw(decision: Decision, of_subject: Sequence[Decision], rules: Rules, plot: Path, events: Sequence[Path]) -> None:
    """Write the picture of a decision, with progress on a terminal; ends the command when that cannot be done."""
    if is_shared_value(decision):
        refuse(
            f"a shared value has no series of its own: stillwatch campaigns show {decision.campaign_id} --plot {plot}"
        )
    try:
        with _recorded(decision, events) as recorded:
            if is_membership(decision):
                drawing = compose_member(decision, of_subject, recorded)
            else:
                drawing = compose(picture_of(decision, of_subject, rules.policy, recorded, rules.words))
    except (RecordsGoneError, NothingRecordedError, UnreadableError) as error:
        raise click.ClickException(str(error)) from error
    write_drawing(drawing, plot)


def write_drawing(drawing: Drawing, plot: Path) -> None:
    """Write a drawing as its file's suffix says; ends the command when that cannot be done."""
    try:
        if plot.suffix.lower() == ".png":
            plot.write_bytes(to_png(drawing))
        else:
            plot.write_text(to_standalone_svg(drawing), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {plot}: {error.strerror or error}") from error


@contextmanager
def reading(what: str) -> Iterator[OnProgress]:
    """Show on a terminal how much has been read."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"reading {what}", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _recorded(decision: Decision, events: Sequence[Path]) -> Iterator[Recorded]:
    with reading("events") as on_progress:
        if events:
            with _files(events) as files:
                yield Recorded(files.lines(), ", ".join(files.names), is_whole=True)
            return
        settings = load_settings()
        span = find_span(settings, decision)
        values = read_span(settings, span, decision.tenant_id, on_progress)
        place = f"topic {span.topic}, partition {span.partition}, offsets {span.first} to {span.end - 1}"
        yield Recorded(values, place, span.is_whole)


def _files(events: Sequence[Path]) -> EventFiles:
    try:
        return EventFiles(events)
    except UnreadableError as error:
        refuse(str(error))


def refuse(problem: str) -> NoReturn:
    """End with a line that says what is wrong with the call."""
    click.echo(problem, err=True)
    sys.exit(2)
