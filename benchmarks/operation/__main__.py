"""Measure the worker in operation: ``python -m benchmarks.operation [--only NAME ...] [--short] --out FOLDER``.

FOLDER/operation.jsonl gets one line about the machine, then one line per measurement, with the load average of its
moment; ``python -m benchmarks.operation.results FOLDER`` makes tables and charts of it. The broker, and this program,
stay on one core, the workers on another.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.operation import (
    changelog_bytes,
    latencies,
    loads,
    recoveries,
    scaling,
    stages,
    stalls,
    takeovers,
    variations,
)
from benchmarks.operation.deployments import FLOOR_TOPIC, INPUT_CONFIG, Bench, Figures
from benchmarks.race.__main__ import machine
from benchmarks.race.measuring import BROKER_CORE
from benchmarks.race.workloads import PARTITIONS, SEED, SIZES, draw_stream, fill_topic
from tests.brokers import NoRealBrokerError, alter_topic, create_topics, delete_topics, real_kafka

MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Figures]]] = {
    "load": loads.measure,
    "stages": stages.measure,
    "latency": latencies.measure,
    "stall": stalls.measure,
    "recovery": recoveries.measure,
    "scaling": scaling.measure,
    "tenants": variations.measure_tenants,
    "partitions": variations.measure_partitions,
    "arrays": variations.measure_arrays,
    "bytes": changelog_bytes.measure,
    "takeover": takeovers.measure,
}

Write = Callable[[Mapping[str, object]], None]


def main() -> int:
    """Run the measurements; exit status 1 when there is no broker or one has failed, 130 when interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):  # broker and workers are stopped on the way out
        signal.signal(number, signal.default_int_handler)
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {BROKER_CORE})
    console = Console(stderr=True)
    with (args.out / "operation.jsonl").open("wb") as file:

        def write(line: Mapping[str, object]) -> None:
            file.write(orjson.dumps(line) + b"\n")
            file.flush()

        write(machine())
        try:
            with real_kafka() as kafka, tempfile.TemporaryDirectory(prefix="operation-") as folder:
                _fill_floor(kafka.bootstrap, console)
                return _run_all(kafka.bootstrap, Path(folder), args, console, write)
        except NoRealBrokerError as error:
            console.print(str(error), markup=False)
            return 1
        except KeyboardInterrupt:
            return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operation", description="The worker in operation.")
    names = list(MEASUREMENTS)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", default=names, help=", ".join(names))
    parser.add_argument("--short", action="store_true", help="fewer events and repetitions; no million tenants")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return parser.parse_args()


def _fill_floor(bootstrap: str, console: Console) -> None:
    with console.status("producing the input of the floor"):
        create_topics(bootstrap, {FLOOR_TOPIC: PARTITIONS})
        alter_topic(bootstrap, FLOOR_TOPIC, INPUT_CONFIG)
        fill_topic(bootstrap, FLOOR_TOPIC, draw_stream(SEED, SIZES["short"]))


def _run_all(bootstrap: str, folder: Path, args: argparse.Namespace, console: Console, write: Write) -> int:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, refresh_per_second=2) as bars:
        task = bars.add_task("", total=len(args.only))
        failed = 0
        for name in args.only:

            def tell(doing: str, name: str = name) -> None:
                bars.update(task, description=f"{name}: {doing}")

            failed += not _run(name, Bench(bootstrap, folder, args.short, tell), console, write)
            delete_topics(bootstrap, name)
            bars.advance(task)
    return 1 if failed else 0


def _run(name: str, bench: Bench, console: Console, write: Write) -> bool:
    """Run one measurement; another may still succeed when it fails."""
    try:
        for figures in MEASUREMENTS[name](bench):
            line = {"kind": "measurement", "name": name, **figures, "load_average": round(os.getloadavg()[0], 1)}
            write(line)
            said = " · ".join(f"{key} {value}" for key, value in line.items() if key != "kind")
            console.print(said, highlight=False, soft_wrap=True)
    except (RuntimeError, TimeoutError) as error:
        write({"kind": "failed", "name": name, "problem": str(error)[-600:]})
        console.print(f"{name} failed: {error}", markup=False)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
