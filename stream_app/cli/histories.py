"""Past events for commands that run over them: files, or what a Kafka topic still holds, with progress."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_app.adapters.decision_log import DecisionLogError, read_records
from stream_app.adapters.histories import SCHEME, HistorySource, find_spans, parse_source, read_spans
from stream_app.adapters.recorded_events import RecordsGoneError
from stream_app.cli.explanations import refuse
from stream_app.cli.operator_records import settings_or_refuse
from stream_app.detection.operators import OperatorWord, SetPolicy, parse_operator
from stream_app.detection.policy import Policy, PolicyError
from stream_app.policies import read_policy
from stream_app.reports.lines import EventFiles, UnreadableError
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: Values between two updates of the progress bar: some ten a second.
_STEP = 2_000


class Told(NamedTuple):
    """What people have told a deployment: the policy in force, and operator records that set no policy."""

    policy: Policy
    lines: list[bytes]


class History(NamedTuple):
    """Past record values, to be read once, and the deployment around them as far as it is known."""

    name: str
    values: Iterator[bytes]
    partitions: int
    told: Told


@contextmanager
def open_history(sources: Sequence[str], what: str) -> Iterator[History]:
    """Open files of events, or one ``kafka://`` address; ends the command when that cannot be done.

    Progress is shown as ``what``. Errors while reading end the command, too.
    """
    is_kafka = [source.startswith(SCHEME) for source in sources]
    if any(is_kafka) and len(sources) > 1:
        refuse(f"{' '.join(sources)}: either files, or one {SCHEME} address")
    try:
        if is_kafka[0]:
            settings, source = kafka_source(sources[0])
            with _from_kafka(settings, source, sources[0], what) as history:
                yield history
        else:
            with _from_files([Path(source) for source in sources], what) as history:
                yield history
    except (RecordsGoneError, DecisionLogError, UnreadableError) as error:
        raise click.ClickException(str(error)) from error


def kafka_source(text: str) -> tuple[Settings, HistorySource]:
    """Settings with the broker of a ``kafka://`` address, and the rest of it; ends the command if it is none."""
    settings = settings_or_refuse()
    try:
        source = parse_source(text)
    except ValueError as error:
        refuse(str(error))
    return (settings.model_copy(update={"broker": source.broker}) if source.broker else settings), source


def told_so_far(settings: Settings, *, is_live: bool) -> Told:
    """Read the operator topic; without it the policy is that of the settings. May raise ``DecisionLogError``."""
    try:
        policy, lines = read_policy(settings), []
    except PolicyError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror or error}")
    for record in read_records(settings, TopicName.OPERATOR) if is_live else ():
        instruction = parse_operator(record.value)
        if isinstance(instruction, SetPolicy):
            policy = instruction.policy
        elif isinstance(instruction, OperatorWord) and record.value:
            lines.append(record.value)
    return Told(policy, lines)


@contextmanager
def _from_files(paths: list[Path], what: str) -> Iterator[History]:
    try:
        files = EventFiles(paths)
    except UnreadableError as error:
        refuse(str(error))
    with files, _bar() as progress:
        task = progress.add_task(what, total=files.bytes_total)

        def values() -> Iterator[bytes]:
            for number, value in enumerate(files.lines()):
                if number % _STEP == 0:
                    progress.update(task, completed=files.bytes_read)
                yield value

        yield History(", ".join(files.names), values(), 1, told_so_far(settings_or_refuse(), is_live=False))


@contextmanager
def _from_kafka(settings: Settings, source: HistorySource, name: str, what: str) -> Iterator[History]:
    spans = find_spans(settings, source)
    told = told_so_far(settings, is_live=True)
    with _bar() as progress:
        task = progress.add_task(what, total=sum(span.end - span.first for span in spans))

        def values() -> Iterator[bytes]:
            for number, (_, record) in enumerate(read_spans(settings, spans)):
                if number % _STEP == 0:
                    progress.update(task, completed=number)
                if record.value is not None:
                    yield record.value

        yield History(name, values(), len(spans), told)


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
