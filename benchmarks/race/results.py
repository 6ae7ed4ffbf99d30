"""Table and chart of races: ``python -m benchmarks.race.results FOLDER ...`` writes benchmarks/results/j1.md and .svg.

With several folders (one per race) a contestant's ratio to a floor is still taken within one race and repetition.
"""

import sys
from collections.abc import Iterable, Sequence
from html import escape
from math import log10
from pathlib import Path
from statistics import median
from typing import Literal

import msgspec
from msgspec import Struct

from benchmarks.race.contestants import CONTESTANTS, ROOT
from benchmarks.race.measuring import Status
from benchmarks.race.oracle import Verdict

#: Load average of a race alone on its two cores: the broker, the contestant and some slack.
USUAL_LOAD = 3.0
FLOORS = ("aiokafka-floor", "librdkafka-floor")
RESULTS = ROOT / "benchmarks" / "results"

Round = tuple[str, int]


class Machine(Struct, tag_field="kind", tag="machine"):
    """Line about the machine; more fields are in the file."""

    at: str
    seed: int
    processor: str
    cores: int
    python: str
    java: str | None
    librdkafka: str


class Skipped(Struct, tag_field="kind", tag="skipped"):
    """A contestant that could not take part."""

    contestant: str
    reason: str


class Run(Struct, tag_field="kind", tag="run"):
    """One measurement."""

    contestant: str
    size: Literal["short", "full"]
    repetition: int
    status: Status
    events: int
    committed: int | None
    cpu_s: float
    wall_s: float
    peak_rss_bytes: int
    problem: str
    verdict: Verdict | None
    load: float = 0.0
    race: str = ""


class Row(Struct):
    """One contestant: rates by round, in events per second of CPU time and of wall time."""

    name: str
    runs: list[Run]
    cpu_rates: dict[Round, float]
    wall_rates: list[float]


decode_line = msgspec.json.Decoder(Machine | Skipped | Run).decode


def read(folders: Iterable[Path]) -> tuple[list[Machine], list[Skipped], list[Run]]:
    """All lines of the races, by kind."""
    machines: list[Machine] = []
    skipped: list[Skipped] = []
    runs: list[Run] = []
    for folder in folders:
        for line in (folder / "race.jsonl").read_bytes().splitlines():
            match decode_line(line):
                case Machine() as machine:
                    machines.append(machine)
                case Skipped() as absent:
                    skipped.append(absent)
                case Run() as run:
                    run.race = str(folder)
                    runs.append(run)
    return machines, skipped, runs


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """One row per contestant that ran, in the order of ``CONTESTANTS``."""
    rows = []
    for contestant in CONTESTANTS:
        own = [run for run in runs if run.contestant == contestant.name]
        if own:
            rows.append(_row(contestant.name, own))
    return rows


def _row(name: str, runs: list[Run]) -> Row:
    row = Row(name, runs, {}, [])
    for place in sorted({(run.race, run.repetition) for run in runs}):
        by_size = {run.size: run for run in runs if (run.race, run.repetition) == place}
        short, full = by_size.get("short"), by_size.get("full")
        if short and full and short.status == full.status == "done":
            events = full.events - short.events
            cpu_s, wall_s = full.cpu_s - short.cpu_s, full.wall_s - short.wall_s
        else:
            last = full or short
            if last is None or last.committed is None or last.status == "failed":
                continue
            events, cpu_s, wall_s = last.committed, last.cpu_s, last.wall_s
        if cpu_s > 0:
            row.cpu_rates[place] = events / cpu_s
        if wall_s > 0:
            row.wall_rates.append(events / wall_s)
    return row


def table(rows: Sequence[Row]) -> str:
    """The Markdown table."""
    lines = [
        "| Contestant | Events per CPU s | Events per s (wall) | To the aiokafka floor | To the librdkafka floor "
        "| Right decisions | Peak memory |",
        "|---|--:|--:|--:|--:|---|--:|",
    ]
    floors = [next((row.cpu_rates for row in rows if row.name == name), {}) for name in FLOORS]
    for row in sorted(rows, key=_middle, reverse=True):
        ratios = " | ".join(_ratio(row.cpu_rates, floor) for floor in floors)
        cpu, wall = _rounded(row.cpu_rates.values()), _rounded(row.wall_rates)
        peak_mb = max(run.peak_rss_bytes for run in row.runs) / 1e6
        lines.append(f"| {row.name} | {cpu} | {wall} | {ratios} | {_rightness(row.runs)} | {peak_mb:,.0f} MB |")
    return "\n".join(lines)


def _middle(row: Row) -> float:
    return median(row.cpu_rates.values()) if row.cpu_rates else 0.0


def _rounded(rates: Iterable[float]) -> str:
    known = list(rates)
    return f"{float(f'{median(known):.3g}'):,.0f}" if known else "not known"


def _ratio(rates: dict[Round, float], floor: dict[Round, float]) -> str:
    ratios = [rate / floor[place] for place, rate in rates.items() if place in floor]
    return f"{median(ratios):.3f} ({min(ratios):.3f}..{max(ratios):.3f})" if ratios else "not known"


def _rightness(runs: Sequence[Run]) -> str:
    if failed := [run for run in runs if run.status == "failed"]:
        return f"failed in {len(failed)} of {len(runs)} runs"
    if late := [run for run in runs if run.status == "not finished"]:
        last = late[-1]
        done = "an unknown number" if last.committed is None else f"{last.committed:,}"
        return f"not finished: {done} of {last.events:,} events in {last.wall_s:.0f} s"
    verdicts = [run.verdict for run in runs if run.verdict is not None]
    if not verdicts:
        return "floor: decides nothing"
    if all(verdict.is_equal for verdict in verdicts):
        return "yes"
    worst = min(verdicts, key=lambda verdict: verdict.right / verdict.expected)
    return f"no: {worst.right} of {worst.expected} right, {worst.wrong} wrong, {worst.repeated} repeated"


def chart(rows: Sequence[Row]) -> str:
    """Bars of events per CPU second on a logarithmic axis, as SVG."""
    known = sorted((row for row in rows if row.cpu_rates), key=_middle, reverse=True)
    left, width, step, low = 190, 480, 26, 2.0
    scale = width / (6.0 - low)
    bottom = 20 + step * len(known)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 80} {bottom + 30}" role="img" '
        'font-family="sans-serif" font-size="13"><title>Job J1: events per CPU second</title>'
        '<rect width="100%" height="100%" fill="#fff"/>'
    ]
    for power in range(2, 7):
        x = left + (power - low) * scale
        parts.append(f'<path d="M{x:.0f} 14V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{10**power:,}</text>')
    for place, row in enumerate(known):
        y, length = 18 + step * place, max(1.0, (log10(_middle(row)) - low) * scale)
        colour = "#b8b8b8" if row.name in FLOORS else "#0b6e4f" if row.name == "stillwatch" else "#4a7fb5"
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(row.name)}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.0f}" height="18" fill="{colour}"/>')
        parts.append(f'<text x="{left + length + 6:.0f}" y="{y + 14}">{_rounded(row.cpu_rates.values())}</text>')
    return "\n".join([*parts, "</svg>", ""])


def page(machines: Sequence[Machine], skipped: Sequence[Skipped], rows: Sequence[Row]) -> str:
    """The part of the results that tells of job J1."""
    machine = machines[-1]
    repetitions = max(len(row.cpu_rates) for row in rows)
    said = [
        "# Job J1: hopping windows and a decision per tenant",
        "",
        "![Events per CPU second, logarithmic](j1.svg)",
        "",
        table(rows),
        "",
        f"Medians of up to {repetitions} repetitions; ratios with their least and greatest value, each within one "
        "repetition. Rates are differences between 1,000,000 and 250,000 events, so start and warm-up are left out; "
        "one that did not finish has its committed events over all of its CPU time. Wall rates are coarse: commits "
        "come every 5 s. Memory is resident, the sum of the processes' peaks.",
        "",
        f"Measured {machine.at} on {machine.cores} cores ({machine.processor}), one for the broker and one for the "
        f"contestant; Python {machine.python}, {machine.java or 'no Java'}, librdkafka {machine.librdkafka}, "
        f"seed {machine.seed}. Versions of the others: `benchmarks/rivals/`.",
    ]
    load = max(run.load for row in rows for run in row.runs)
    if load > USUAL_LOAD:
        said += [
            "",
            f"Others used the machine at the same time (load average up to {load:.0f}): the figures are rough.",
        ]
    absent = {item.contestant: item.reason for item in skipped if item.contestant not in {row.name for row in rows}}
    said += ["", *(f"- {name} did not take part: {reason}" for name, reason in absent.items())] if absent else []
    return "\n".join([*said, ""])


def main() -> int:
    """Write the page and the chart; exit status 2 without folders."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        print("usage: python -m benchmarks.race.results FOLDER ...", file=sys.stderr)
        return 2
    machines, skipped, runs = read(folders)
    rows = rows_of(runs)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "j1.md").write_text(page(machines, skipped, rows))
    (RESULTS / "j1.svg").write_text(chart(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
