"""``stillwatch backfill``: let workers begin with what past logs teach."""

from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import orjson
from confluent_kafka import KafkaException
from rich.console import Console

from stream_app.adapters.admission import BrokerError, check_admission
from stream_app.adapters.backfills import OccupiedError, Standing, find_standing, write_states
from stream_app.adapters.decision_log import DecisionLogError
from stream_app.adapters.histories import SCHEME, find_spans, read_spans
from stream_app.adapters.recorded_events import RecordsGoneError, Span
from stream_app.adapters.transactions import FencedError
from stream_app.backfills import Backfill, Past
from stream_app.cli.explanations import reading, refuse
from stream_app.cli.histories import kafka_source, open_history, told_so_far
from stream_app.cli.operator_records import settings_or_refuse
from stream_app.detection.explanations import rfc3339
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: Records between two updates of the progress bar.
_STEP = 2_000


@click.command()
@click.argument("events", nargs=-1, type=click.Path(path_type=Path))
@click.option("--from", "source", metavar="KAFKA", help="kafka://HOST:PORT/TOPIC?hours=168 instead of files.")
@click.option("--replace", is_flag=True, help="Forget what the deployment's workers have learned so far.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as one JSON object.")
def backfill(*, events: tuple[Path, ...], source: str | None, replace: bool, as_json: bool) -> None:
    """Run past EVENTS through the core and write the states that workers then begin with.

    Nothing is decided on the past: tenants, their usual rates and campaigns are known, and nobody is denied. All
    workers must be stopped.
    """
    if bool(events) == bool(source) or (source and not source.startswith(SCHEME)):
        refuse(f"either files of events, or --from {SCHEME}…")
    settings = settings_or_refuse()
    try:
        check_admission(settings)
        with Console(stderr=True).status("looking at topics and groups"):
            standing = find_standing(settings, may_replace=replace)
            policy = told_so_far(settings, is_live=True).policy
        topics = settings.topic(TopicName.REQUESTS), settings.topic(TopicName.SIGNALS)

        def begin(starts: list[int], until_ms: int | None) -> Backfill:
            return Backfill(policy, topics, starts, standing.signals_start, until_ms)

        filled = _fill(begin, settings, standing, events, source)
        if not filled.past.events:
            raise click.ClickException(f"nothing to learn from: {_closing(filled.past)}")
        _write(settings, filled, standing)
    except (BrokerError, DecisionLogError, OccupiedError, FencedError, RecordsGoneError) as error:
        raise click.ClickException(str(error)) from error
    except KafkaException as error:
        raise click.ClickException(f"{settings.broker}: {error.args[0].str()}") from error
    click.echo(orjson.dumps(msgspec.to_builtins(filled.past)) if as_json else _closing(filled.past))


def _fill(
    begin: Callable[[list[int], int | None], Backfill],
    settings: Settings,
    standing: Standing,
    events: tuple[Path, ...],
    source: str | None,
) -> Backfill:
    if source and (spans := _own_spans(settings, source, standing)):
        filled = begin([span.end for span in spans], None)
        total = sum(span.end - span.first for span in spans)
        with reading("the past") as on_progress:
            for done, (number, record) in enumerate(read_spans(settings, spans)):
                filled.take_record(number, record)
                if done % _STEP == 0:
                    on_progress(done, total)
    else:
        filled = begin(standing.starts, standing.until_ms)
        with open_history([source] if source else [str(path) for path in events], "reading the past") as history:
            for value in history.values:
                filled.take(value)
    filled.finish()
    return filled


def _own_spans(settings: Settings, source: str, standing: Standing) -> list[Span]:
    """What to read if the past lies on the very topic of the workers: up to where they had come, or else up to now.

    They go on behind it.
    """
    reader, asked = kafka_source(source)
    if reader.broker != settings.broker or asked.topic not in (None, settings.topic(TopicName.REQUESTS)):
        return []
    spans = []
    for span, start, former in zip(find_spans(reader, asked), standing.starts, standing.former, strict=True):
        end = start if former else span.end
        spans.append(msgspec.structs.replace(span, first=min(span.first, end), end=end))
    return spans


def _write(settings: Settings, filled: Backfill, standing: Standing) -> None:
    states = [*filled.states, filled.campaign_states]
    written = 0
    with reading("writing states") as on_progress:
        for count in write_states(settings, filled.states, filled.campaign_states, filled.entries, standing):
            written += count
            on_progress(written, max(written, sum(map(len, states))))


def _closing(past: Past) -> str:
    found = f"{past.events:,} events of {past.tenants:,} tenants"
    if past.events:
        found += f" from {rfc3339(past.begins_ms)} to {rfc3339(past.ends_ms)}"
    found += f", {past.refused:,} refused, {past.late:,} late"
    if past.left_out:
        found += f", {past.left_out:,} records left out that are as new as what workers will read themselves"
    return f"{found}; {past.campaigns:,} campaigns; {past.decisions:,} decisions on the past were made by nobody"
