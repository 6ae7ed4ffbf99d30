"""Tables and charts of the measurements: ``python -m benchmarks.operation.results FOLDER ...``.

Writes benchmarks/results/operation.md and an SVG per chart. With several folders, each with some of the measurements,
the last one that has a measurement counts.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from benchmarks.race.contestants import ROOT

RESULTS = ROOT / "benchmarks" / "results"
_HIDDEN = ("kind", "name", "case")
_WIDTH, _LEFT, _STEP = 420, 290, 26

Line = dict[str, Any]


class Section(NamedTuple):
    """What the page says of a measurement; ``charted`` names the column of its chart."""

    title: str
    text: str
    charted: str | None = None


SECTIONS = {
    "load": Section(
        "Load",
        "Job J2: the whole worker drains the seeded stream of job J1, a full topic of 10,000 tenants.",
        "events_per_cpu_s",
    ),
    "stages": Section(
        "Where the time of an event goes",
        "Stages run one by one over the same records. The rest is what the worker takes beyond their sum.",
        "us_per_event",
    ),
    "latency": Section(
        "Latency",
        "From the Kafka timestamp of the causing record to the decision: until the broker has appended it (its own "
        "timestamp), and until a consumer of committed records has it, which is after its acknowledgement. Quiet "
        "tenants burst within live traffic, at shares of the rate at which a full topic is drained.",
        "seen_p99_ms",
    ),
    "stall": Section(
        "Stalls of the event loop",
        "A backlog of 100,000 active tenants: the longest iterations of the loop, and the CPU time of the core's "
        "calls in them.",
        "cpu_ms",
    ),
    "recovery": Section(
        "Recovery",
        "From the start of the process until it is ready. Growth is resident memory beyond an empty worker's.",
        "ready_s",
    ),
    "scaling": Section(
        "One worker and two",
        "By CPU time of all workers together; two share both cores with the broker.",
        "events_per_cpu_s",
    ),
    "tenants": Section(
        "Number of tenants",
        "All of the same size, at the same total rate: few events each when they are many.",
        "cpu_us_per_event",
    ),
    "partitions": Section("Number of partitions", "The stream of job J1.", "cpu_us_per_event"),
    "arrays": Section("Events in a record", "200 tenants; a record holds events of one.", "cpu_us_per_event"),
    "bytes": Section(
        "Bytes",
        "What goes into the changelog under live traffic, and the fields of a population's states after three hours.",
    ),
    "takeover": Section(
        "Takeover",
        "kill -9 of one of two workers under load, until the other one's first decision in its place; the session "
        "timeout is 6 s of it.",
        "first_decision_s",
    ),
}


def read(folders: Iterable[Path]) -> tuple[Line, dict[str, list[Line]]]:
    """The machine, and the lines of each measurement."""
    machine: Line = {}
    found: dict[str, list[Line]] = {}
    for folder in folders:
        own: dict[str, list[Line]] = {}
        for text in (folder / "operation.jsonl").read_bytes().splitlines():
            line = msgspec.json.decode(text)
            if line["kind"] == "machine":
                machine = line | {"commits": {*machine.get("commits", ()), line["commit"]}}
            else:
                own.setdefault(line["name"], []).append(line)
        found |= own
    return machine, found


def medians(lines: Sequence[Line]) -> list[Line]:
    """One line per case; of repetitions, the median of every number and the largest load average."""
    cases: dict[str, list[Line]] = {}
    for line in lines:
        cases.setdefault(line["case"], []).append(line)
    return [_merged(same) for same in cases.values()]


def _merged(lines: Sequence[Line]) -> Line:
    def middle(key: str) -> Any:
        values = [line[key] for line in lines]
        if key == "load_average":
            return max(values)
        return median(values) if isinstance(values[0], int | float) else values[0]

    merged = {key: middle(key) for key in lines[0]}
    return merged if len(lines) == 1 else merged | {"repetitions": len(lines)}


def table(lines: Sequence[Line]) -> str:
    """The Markdown table: a column per figure."""
    columns = list(dict.fromkeys(key for line in lines for key in line if key not in _HIDDEN))
    rows = [["case", *(column.replace("_", " ") for column in columns)], ["---", *["--:"] * len(columns)]]
    rows += [[line["case"], *(_text(line.get(column, "")) for column in columns)] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def chart(title: str, lines: Sequence[Line], column: str) -> str:
    """Bars of one column, as SVG."""
    bars = [(line["case"], float(line[column])) for line in lines if column in line]
    scale = _WIDTH / max([value for _, value in bars if value > 0], default=1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 90} {20 + _STEP * len(bars)}" '
        f'role="img" font-family="sans-serif" font-size="13"><title>{escape(title)}</title>'
        '<rect width="100%" height="100%" fill="#fff"/>'
    ]
    for place, (case, value) in enumerate(bars):
        y, length = 10 + _STEP * place, max(1.0, value * scale)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(case)}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{length:.0f}" height="18" fill="#0b6e4f"/>')
        parts.append(f'<text x="{_LEFT + length + 6:.0f}" y="{y + 14}">{value:,.4g}</text>')
    return "\n".join([*parts, "</svg>", ""])


def write(machine: Line, found: Mapping[str, Sequence[Line]]) -> None:
    """The page, and the charts beside it."""
    said = ["# The worker in operation"]
    for name, section in SECTIONS.items():
        if name not in found:
            continue
        lines = medians([line for line in found[name] if line["kind"] == "measurement"])
        said += ["", f"## {section.title}", "", section.text, ""]
        if section.charted is not None:
            title = f"{section.title}: {section.charted.replace('_', ' ')}"
            (RESULTS / f"operation-{name}.svg").write_text(chart(title, lines, section.charted))
            said += [f"![{title}](operation-{name}.svg)", ""]
        said.append(table(lines))
        said += [f"\nIt ended early: {_last_line(line)}" for line in found[name] if line["kind"] == "failed"]
    said += ["", *_circumstances(machine), ""]
    (RESULTS / "operation.md").write_text("\n".join(said))


def _last_line(failed: Line) -> str:
    return str(failed["problem"]).strip().splitlines()[-1]


def _circumstances(machine: Line) -> list[str]:
    return [
        "The ratio to the floor is to fetching (librdkafka; in another column aiokafka) and decoding alone, one event "
        "of job J1 a record, measured just before. CPU time is that of the worker processes. Repetitions: medians, "
        "with the largest load average. Where it is above 3, others used the machine at the same time.",
        "",
        f"Measured {machine['at']} at commit {', '.join(sorted(machine['commits']))} on {machine['cores']} cores "
        f"({machine['processor']}), one for the broker and the traffic and one for the worker; Python "
        f"{machine['python']}, {machine['java']}, librdkafka "
        f"{machine['librdkafka']}, seed {machine['seed']}.",
    ]


def main() -> int:
    """Write page and charts; exit status 2 without folders."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        print("usage: python -m benchmarks.operation.results FOLDER ...", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    write(*read(folders))
    return 0


if __name__ == "__main__":
    sys.exit(main())
