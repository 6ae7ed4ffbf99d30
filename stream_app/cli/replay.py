"""``stillwatch replay``: what the detector would have decided on recorded events."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import click
import orjson
from msgspec import to_builtins
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from stream_app.detection.policy import Policy, PolicyError, load_policy
from stream_app.garbage import calm_garbage_collection
from stream_app.replay import Summary
from stream_app.reports.journals import read_journal
from stream_app.reports.lines import EventFiles, UnreadableError
from stream_app.reports.results import REPORT, RunInput, write_results
from stream_app.sharing.keys import load_exchange
from stream_app.sketches import KeyFileError

DEFAULT_POLICY = Path(__file__).parents[1] / "policies" / "default.yaml"
#: A detector each; more partitions than this exist in no cluster that a file is replayed for.
MAX_PARTITIONS = 10_000


@click.command()
@click.argument("events", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results; made when missing.")
@click.option(
    "--verify",
    metavar="SOURCE",
    help="Instead of writing results, re-derive the decisions of a decisions.jsonl from EVENTS, or those of a live"
    " run from all that Kafka holds of it: kafka://HOST:PORT/?hours=24, or kafka:// alone.",
)
@click.option(
    "--sample", type=click.IntRange(1), help="With --verify: only so many decisions, the same ones each time."
)
@click.option(
    "--policy",
    envvar="STILLWATCH_POLICY",
    type=click.Path(path_type=Path),
    help="Policy file, as the worker takes it; else the one that comes with Stillwatch.",
)
@click.option("--operator", type=click.Path(path_type=Path), help="Operator records, applied at their event time.")
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    help="Values of the journal topic: operator records are applied where they took effect in the live run.",
)
@click.option(
    "--exchange-key-file",
    envvar="STILLWATCH_EXCHANGE_KEY_FILE",
    type=click.Path(path_type=Path),
    help="Key shared with partner providers: what may be told them, and what they told.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, MAX_PARTITIONS),
    default=1,
    show_default=True,
    help="Partitions of the requests topic; decisions are those of a live run with as many.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the summary as one JSON object.")
def replay(
    *,
    events: tuple[Path, ...],
    out: Path | None,
    verify: str | None,
    sample: int | None,
    policy: Path | None,
    operator: Path | None,
    journal: Path | None,
    exchange_key_file: Path | None,
    partitions: int,
    as_json: bool,
) -> None:
    """Run the detector over files of events, without a broker.

    EVENTS hold one record value a line, an event or an array of events, plain or gzipped; - is standard input. The
    folder receives decisions.jsonl, campaigns.jsonl, dead-letters.jsonl, summary.json and report.html.
    """
    if verify and verify.startswith("kafka://") and not events:
        _verifications().verify_live(verify, _policy(policy) if policy else None, sample, as_json=as_json)
        return
    if not events or bool(out) == bool(verify):
        _refuse("needs EVENTS and either --out FOLDER or --verify decisions.jsonl; or --verify kafka:// alone")
    if out and out.exists() and not out.is_dir():
        _refuse(f"{out}: not a folder")
    rules = _policy(policy or DEFAULT_POLICY)
    try:
        operator_lines = _lines(operator) if operator else []
        entries = read_journal(journal, _lines(journal), len(operator_lines), partitions) if journal else None
        files = EventFiles(events)
        exchange = load_exchange(exchange_key_file) if exchange_key_file else None
    except (UnreadableError, KeyFileError) as error:
        _refuse(str(error))
    calm_garbage_collection()
    with files:
        run = RunInput(files, operator_lines, rules, partitions, entries, exchange)
        if out is None:
            _verifications().verify_files(run, Path(verify or ""), sample, as_json=as_json)
            return
        try:
            summary = _run(run, out)
        except UnreadableError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"cannot write to {out}: {error.strerror or error}") from error
    click.echo(orjson.dumps(to_builtins(summary)) if as_json else _closing(summary, out))


def _verifications() -> ModuleType:
    """Only when needed: it brings Faust and Kafka's clients with it, which take a second."""
    return import_module("stream_app.cli.verifications")


def _policy(path: Path) -> Policy:
    try:
        return load_policy(path.read_text(encoding="utf-8"), str(path))
    except PolicyError as error:
        _refuse(str(error))
    except UnicodeDecodeError:
        _refuse(f"{path}: not UTF-8 text")
    except OSError as error:
        _refuse(f"{path}: {error.strerror or error}")


def _lines(path: Path) -> list[bytes]:
    with EventFiles([path]) as files:
        return list(files.lines())


def _run(run: RunInput, out: Path) -> Summary:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[speed_words]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(reading: str, lines: int) -> None:
            if reading not in tasks:
                tasks[reading] = progress.add_task(reading, total=run.events.bytes_total, speed_words="")
            elapsed_s = progress.tasks[tasks[reading]].elapsed
            speed_words = f"{lines / elapsed_s:,.0f} records/s" if elapsed_s else ""
            progress.update(tasks[reading], completed=run.events.bytes_read, speed_words=speed_words)

        return write_results(run, out, show)


def _closing(summary: Summary, out: Path) -> str:
    made = ", ".join(f"{count:,} {action}" for action, count in summary.decisions.items()) or "none"
    if renewals := sum(summary.renewals.values()):
        made += f" ({renewals:,} of them renewals)"
    return (
        f"{summary.events:,} events of {summary.tenants:,} tenants at {summary.events_per_s:,.0f} events/s, "
        f"{summary.rejected:,} refused; decisions: {made}\n{out / REPORT}"
    )


def _refuse(problem: str) -> NoReturn:
    click.echo(problem, err=True)
    sys.exit(2)
