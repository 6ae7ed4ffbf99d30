"""One replay from files to a folder of results."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from stream_app.detection.campaigns.indicators import Exchange
from stream_app.detection.effects import DeadLetter, EmitDecision
from stream_app.detection.operators import JournalEntry, OperatorWord, parse_operator
from stream_app.detection.policy import Policy
from stream_app.plots.campaigns import CampaignPlot
from stream_app.plots.loads import LoadCount
from stream_app.replay import Replay, Summary
from stream_app.reports.campaigns import plain_campaign
from stream_app.reports.histories import RunHistory, count_activity
from stream_app.reports.lines import EventFiles, Place
from stream_app.reports.pages import Run, render
from stream_app.reports.subjects import finish, tracers

DECISIONS, CAMPAIGNS, DEAD_LETTERS = "decisions.jsonl", "campaigns.jsonl", "dead-letters.jsonl"
SUMMARY, REPORT = "summary.json", "report.html"
RESULTS = (DECISIONS, CAMPAIGNS, DEAD_LETTERS, SUMMARY, REPORT)
#: Lines between two calls of ``on_progress``: some ten a second.
_PROGRESS_LINES = 2_000

OnProgress = Callable[[str, int], None]


class RunInput(NamedTuple):
    """What is replayed, and with what."""

    events: EventFiles
    operator_lines: list[bytes]
    policy: Policy
    partitions: int
    journal: list[JournalEntry] | None = None
    exchange: Exchange | None = None


def write_results(run: RunInput, out: Path, on_progress: OnProgress) -> Summary:
    """Replay and put the five result files into the folder ``out``, which is made when missing.

    The files appear, or replace older ones, only when all of them are complete. Reads the events twice: for the
    decisions, then for the plots. ``on_progress`` is told which reading it is and how many lines it has read. Raises
    ``UnreadableError`` for a damaged file and ``OSError`` when ``out`` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".replay-", dir=out) as name:
        partial = Path(name)
        replay = Replay(run.policy, run.partitions, run.operator_lines, journal=run.journal, exchange=run.exchange)
        history = _decide(replay, run.events, partial, on_progress)
        instructions = _instructions(run.operator_lines)
        traced = tracers(history, run.policy, instructions)
        campaigns = [plain_campaign(campaign) for campaign in replay.campaigns]
        loads = LoadCount(campaigns)
        lines = _counted(run.events.lines(), "reading for the plots", on_progress)
        activity = count_activity(lines, list(traced.values()), loads)
        summary = replay.summary
        summary.accounts = len(activity.accounts)
        words = [instruction.record for instruction in instructions]
        plots = [CampaignPlot(one, loads.load_of(one, summary.tenants), history.actions_of(one)) for one in campaigns]
        page = Run(run.events.names, run.policy, summary, history, activity, finish(traced), words, plots)
        _write_rest(page, partial)
        for result in RESULTS:
            (partial / result).replace(out / result)
    return summary


def _instructions(lines: Iterable[bytes]) -> list[OperatorWord]:
    parsed = (parse_operator(line) for line in lines)
    return [instruction for instruction in parsed if isinstance(instruction, OperatorWord)]


def _decide(replay: Replay, events: EventFiles, folder: Path, on_progress: OnProgress) -> RunHistory:
    history = RunHistory()
    with ExitStack() as stack:
        decisions = stack.enter_context((folder / DECISIONS).open("wb"))
        dead_letters = stack.enter_context((folder / DEAD_LETTERS).open("wb"))
        for effect in replay.run(_counted(events.lines(), "deciding", on_progress)):
            match effect:
                case EmitDecision(decision=decision):
                    decisions.write(msgspec.json.encode(decision) + b"\n")
                    history.add_decision(decision)
                case DeadLetter():
                    place = events.place_of(effect.original)
                    dead_letters.write(orjson.dumps(_plain(effect, place)) + b"\n")
                    history.add_dead_letter(effect, place)
    return history


def _counted(values: Iterable[bytes], reading: str, on_progress: OnProgress) -> Iterator[bytes]:
    count = 0
    on_progress(reading, count)
    for count, value in enumerate(values, 1):
        yield value
        if count % _PROGRESS_LINES == 0:
            on_progress(reading, count)
    on_progress(reading, count)


def _plain(letter: DeadLetter, place: Place | None) -> dict[str, object]:
    """As on the dead-letter topic, but with the line instead of a Kafka timestamp, which a file does not have."""
    plain: dict[str, object] = {
        "reason": letter.reason.value,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
    }
    if letter.index is not None:
        plain["index"] = letter.index
    return plain | (place._asdict() if place else {})


def _write_rest(run: Run, folder: Path) -> None:
    with (folder / CAMPAIGNS).open("wb") as file:
        for plot in run.campaigns:
            file.write(orjson.dumps({**plot.campaign, "load": msgspec.to_builtins(plot.load)}) + b"\n")
    (folder / SUMMARY).write_bytes(orjson.dumps(msgspec.to_builtins(run.summary), option=orjson.OPT_APPEND_NEWLINE))
    (folder / REPORT).write_text(render(run), encoding="utf-8")
