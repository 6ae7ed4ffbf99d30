"""Run the race: ``python -m benchmarks.race [--only NAME ...] [--repetitions 3] [--time-limit S] --out FOLDER``.

FOLDER/race.jsonl gets one line about the machine, then one line per run; ``python -m benchmarks.race.results FOLDER``
makes the table and the chart of it. The broker, and this program, stay on one core, the contestants on another.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import confluent_kafka
import msgspec
import orjson
from kafka.admin import KafkaAdminClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.race.contestants import CONTESTANTS, RIVALS, ROOT, Contestant, UnavailableError, prepare
from benchmarks.race.measuring import BROKER_CORE, Measurement, Place, run_once
from benchmarks.race.oracle import Decision, Verdict, expected_decisions, judge
from benchmarks.race.workloads import PARTITIONS, SEED, SIZES, draw_stream, events_of, fill_topic
from tests.brokers import KafkaRecords, NoRealBrokerError, alter_topic, create_topics, real_kafka

#: Event time may lie far from this machine's clock, on either side.
TOPIC_CONFIG = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}

Write = Callable[[dict[str, object]], None]


class Race(NamedTuple):
    """What all runs share."""

    bootstrap: str
    expected: dict[str, list[Decision]]
    time_limit_s: float
    folder: Path
    bars: Progress


def main() -> int:
    """Run the race; exit status 1 when there is no broker, 130 when interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):  # contestants and broker are stopped on the way out
        signal.signal(number, signal.default_int_handler)
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {BROKER_CORE})
    console = Console(stderr=True)
    with (args.out / "race.jsonl").open("wb") as file:

        def write(line: dict[str, object]) -> None:
            file.write(orjson.dumps(line) + b"\n")
            file.flush()

        write(machine())
        chosen = [contestant for contestant in CONTESTANTS if not args.only or contestant.name in args.only]
        with console.status("building what is missing"):
            chosen = _prepared(chosen, write)
        try:
            with real_kafka() as kafka, tempfile.TemporaryDirectory(prefix="race-") as folder, _bars(console) as bars:
                race = Race(kafka.bootstrap, _fill(kafka.bootstrap, bars), args.time_limit, Path(folder), bars)
                _run_all(race, chosen, args.repetitions, write)
        except NoRealBrokerError as error:
            console.print(str(error), markup=False)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.race", description="Job J1: everyone on one core.")
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--time-limit", type=float, default=300.0, metavar="S", help="seconds per run")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return parser.parse_args()


def machine() -> dict[str, object]:
    """What the figures depend on beside the contestants: machine, versions, seed."""
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ":"
    )
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return {
        "kind": "machine",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "seed": SEED,
        "sizes": SIZES,
        "processor": model.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "java": java[0] if java else None,
        "librdkafka": confluent_kafka.libversion()[0],
        "packages": {name: version(name) for name in ("aiokafka", "confluent-kafka", "faust-streaming", "msgspec")},
        "rivals": {path.parent.name: _pinned(path) for path in sorted(RIVALS.glob("*/requirements.txt"))},
    }


def _commit() -> str:
    git = ("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def _pinned(requirements: Path) -> list[str]:
    return [line for line in requirements.read_text().splitlines() if "==" in line]


def _prepared(contestants: Sequence[Contestant], write: Write) -> list[Contestant]:
    ready = []
    for contestant in contestants:
        try:
            prepare(contestant)
        except UnavailableError as error:
            write({"kind": "skipped", "contestant": contestant.name, "reason": str(error)})
        else:
            ready.append(contestant)
    return ready


def _bars(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, refresh_per_second=2)


def _fill(bootstrap: str, bars: Progress) -> dict[str, list[Decision]]:
    """Produce the input topics, named by their sizes, and work out what is to come of them."""
    task = bars.add_task("producing the input", total=len(SIZES))
    stream = draw_stream(SEED, max(SIZES.values()))
    expected = {}
    for name, size in SIZES.items():
        part = stream.first(size)
        _create(bootstrap, f"input-{name}")
        fill_topic(bootstrap, f"input-{name}", part)
        expected[name] = expected_decisions(events_of(part))
        bars.advance(task)
    bars.remove_task(task)
    return expected


def _create(bootstrap: str, topic: str) -> None:
    create_topics(bootstrap, {topic: PARTITIONS})
    alter_topic(bootstrap, topic, TOPIC_CONFIG)


def _run_all(race: Race, contestants: Sequence[Contestant], repetitions: int, write: Write) -> None:
    task = race.bars.add_task("all runs", total=repetitions * len(contestants) * len(SIZES))
    for repetition in range(repetitions):
        for contestant in contestants:
            for size in SIZES:
                measured, verdict = _run(race, contestant, size, repetition)
                write(
                    {
                        "kind": "run",
                        "contestant": contestant.name,
                        "is_floor": contestant.is_floor,
                        "size": size,
                        "repetition": repetition,
                        **msgspec.structs.asdict(measured),
                        "verdict": msgspec.to_builtins(verdict),
                        "load": round(os.getloadavg()[0], 1),
                    }
                )
                race.bars.advance(task)
                if measured.status != "done":
                    break  # more events would tell no more


def _run(race: Race, contestant: Contestant, size: str, repetition: int) -> tuple[Measurement, Verdict | None]:
    name = f"{contestant.name}-{size}-{repetition}"
    place = Place(race.bootstrap, f"input-{size}", f"out-{name}", f"race-{name}", race.folder / name)
    _create(race.bootstrap, place.output)
    task = race.bars.add_task(name, total=SIZES[size] + PARTITIONS)
    try:
        measured = run_once(contestant, place, race.time_limit_s, lambda count: race.bars.update(task, completed=count))
        return measured, None if contestant.is_floor else judge(_decisions(place), race.expected[size])
    finally:
        race.bars.remove_task(task)
        _delete_outputs(race.bootstrap)


def _decisions(place: Place) -> list[Decision]:
    with KafkaRecords(place.bootstrap, place.output) as records:
        return [_decision(record.value) for record in records.read_to_end(60)]


def _decision(value: bytes | None) -> Decision:
    """A record that is no decision counts as a wrong one."""
    try:
        return msgspec.json.decode(value or b"", type=Decision)
    except msgspec.MsgspecError:
        return Decision("", 0, 0, 0, 0, 0.0)


def _delete_outputs(bootstrap: str) -> None:
    """Delete all topics but the inputs: the output, and whatever the contestant made for itself."""
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        names = [name for name in admin.list_topics() if not name.startswith(("input-", "__"))]
        if names:
            admin.delete_topics(names)


if __name__ == "__main__":
    sys.exit(main())
