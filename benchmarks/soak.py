"""A worker under a mixed load for a long time: ``python -m benchmarks.soak --minutes 30``.

Half of the records come from a fixed set of tenants that burst in turn, the other half from a constant number of
tenants that are replaced all the time: old ones fall silent, and are kept for thirty days as encoded states. Among
them are arrays, repeats, late events and rubbish. With ``--constant`` none is replaced, and memory has no reason to
grow at all once what tenants remember of a day has filled up; ``--pace 60`` lets an hour of event time pass in a
minute, so that days do. Memory, open handles and lag are sampled; at the end the core runs over the whole source topic
in one piece, and states, decisions and dead letters are compared with the worker's.

Exit status 1 when lag grows, handles leak or anything differs.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression, median
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.operation.deployments import WORKER_CORES, counters, pinned, resident_bytes
from benchmarks.race.measuring import BROKER_CORE
from benchmarks.throughput import worker_cpu_s
from stream_app.detection.state import PARTITION_KEY
from stream_app.topology import TopicName
from tests.brokers import NoRealBrokerError
from tests.faults.clusters import running_cluster
from tests.faults.traffic import Population, Sent, Traffic
from tests.faults.trials import Trial
from tests.faults.workers import WorkerProcess

SEED = 1
#: Records a second; one in eight is an array of forty events.
RATE = 400.0
#: Tenants of the changing half that are active at a time, and records until the oldest of them is replaced.
ACTIVE, RECORDS_A_TENANT = 2_000, 40
#: One record in so many is a repeat, late, or rubbish.
ODD_EVERY, LATE_MS = 200, 45_000
SAMPLES = 60
#: A run's first third is its warm-up, and tenants remember the hours of a day.
SETTLED_S = 3 * 24 * 3_600.0
#: Lag may differ by a second of traffic, and handles by a few connections, without being on the way up.
MAX_LAG_GROWTH, MAX_HANDLE_GROWTH = RATE, 8


class Sample(NamedTuple):
    """The worker at one moment."""

    at_s: float
    resident_mb: float
    handles: int
    lag: int
    applied: int
    cpu_s: float
    load_average: float


class ChangingPopulation(Population):
    """The fault tests' population, of which one half is always new."""

    def __init__(self, seed: int, is_constant: bool) -> None:
        super().__init__(seed)
        self.drawn = 0
        self._is_constant = is_constant
        self._last: Sent | None = None

    @property
    def replaced(self) -> int:
        """Tenants that have fallen silent."""
        return 0 if self._is_constant else self.drawn // RECORDS_A_TENANT

    def tenant(self) -> str:
        """One of those that are active now."""
        return f"soak-{self.replaced + self._random.randrange(ACTIVE)}"

    def draw(self, time_ms: int) -> Sent:
        """The next record, now and then an odd one."""
        self.drawn += 1
        match self._random.randrange(ODD_EVERY):
            case 0 if self._last is not None:
                return self._last
            case 1:
                return self.draw_for(self.tenant(), 1, time_ms - LATE_MS)
            case 2:
                return Sent(self.tenant(), b'{"id":', time_ms)
        self._last = super().draw(time_ms)
        return self._last


class ChangingTraffic(Traffic):
    """Traffic of a population that changes; its event time runs ``pace`` times as fast as ours, and ends with now."""

    def __init__(self, trial: Trial, is_constant: bool, pace: float, duration_s: float) -> None:
        super().__init__(trial.settings, trial.cluster.bootstrap, SEED, RATE)
        self._population: ChangingPopulation = ChangingPopulation(SEED, is_constant)
        self._pace = pace
        self._ends_s = self._began_s + duration_s

    @property
    def tenants(self) -> int:
        """Tenants of the changing half so far."""
        return ACTIVE + self._population.replaced

    def now_ms(self) -> int:
        """Event time of this moment."""
        now_s = time.time()
        return round(1000 * (now_s - (self._pace - 1) * max(0.0, self._ends_s - now_s)))


def main() -> int:
    """Run and print the table."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # broker and worker are stopped on the way out
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="A long mixed load.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--constant", action="store_true", help="the same tenants all the time")
    parser.add_argument("--pace", type=float, default=1.0, help="hours of event time in one of ours (default: 1)")
    args = parser.parse_args()
    if args.minutes <= 0 or args.pace < 1:
        parser.error("--minutes must be more than 0, and --pace at least 1")
    console = Console()
    os.sched_setaffinity(0, {BROKER_CORE})
    try:
        with (
            running_cluster(1) as cluster,
            tempfile.TemporaryDirectory(prefix="soak-") as folder,
            Trial(cluster, "soak", Path(folder), seed=SEED, rate=RATE) as trial,
        ):
            return _soak(trial, 60 * args.minutes, args.constant, args.pace, console)
    except NoRealBrokerError as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _soak(trial: Trial, duration_s: float, is_constant: bool, pace: float, console: Console) -> int:
    traffic = trial.traffic = ChangingTraffic(trial, is_constant, pace, duration_s)
    with pinned(WORKER_CORES):
        (worker,) = trial.start_workers(1)
    traffic.start()
    samples = _watch(worker, duration_s, console)
    _print(samples, console)
    with console.status("comparing with the core in one piece"):
        verdict = trial.verdict()
    too_short = "" if pace * duration_s >= SETTLED_S else " (too short a run: what tenants remember of a day fills up)"
    slope = _slope(samples) / pace
    console.print(f"memory after warm-up: {slope:+.2f} MB an hour of event time{too_short}", highlight=False)
    console.print(_states(trial, traffic.tenants, duration_s), highlight=False)
    console.print(f"verdict: {verdict}", highlight=False)
    problems = _growth(samples) + ([] if verdict.is_exact else ["states, decisions or dead letters differ"])
    for problem in problems:
        console.print(problem, style="red")
    return 1 if problems else 0


def _watch(worker: WorkerProcess, duration_s: float, console: Console) -> list[Sample]:
    samples: list[Sample] = []
    began_s = time.monotonic()
    with Progress(console=console, refresh_per_second=1) as bars:
        task = bars.add_task("soak", total=SAMPLES)
        for number in range(1, SAMPLES + 1):
            time.sleep(max(0.0, began_s + number * duration_s / SAMPLES - time.monotonic()))
            samples.append(_sample(worker, time.monotonic() - began_s))
            bars.advance(task)
    return samples


def _sample(worker: WorkerProcess, at_s: float) -> Sample:
    total = counters(worker)
    return Sample(
        at_s,
        resident_bytes(worker.pid) / 1e6,
        len(list(Path(f"/proc/{worker.pid}/fd").iterdir())),
        int(total["stillwatch_consumer_lag_records"]),
        int(total["stillwatch_events_total"]),
        worker_cpu_s(worker.pid),
        os.getloadavg()[0],
    )


def _after_warm_up(samples: Sequence[Sample]) -> Sequence[Sample]:
    """All but the first third."""
    return samples[len(samples) // 3 :]


def _slope(samples: Sequence[Sample]) -> float:
    """Growth of resident memory in MB an hour."""
    steady = _after_warm_up(samples)
    line = linear_regression([sample.at_s for sample in steady], [sample.resident_mb for sample in steady])
    return 3600 * line.slope


def _growth(samples: Sequence[Sample]) -> list[str]:
    """What is larger in the last third than in the one before."""
    steady = _after_warm_up(samples)
    before, after = steady[: len(steady) // 2], steady[len(steady) // 2 :]
    problems = []
    if median(s.lag for s in after) > median(s.lag for s in before) + MAX_LAG_GROWTH:
        problems.append("lag grows")
    if max(s.handles for s in after) > max(s.handles for s in before) + MAX_HANDLE_GROWTH:
        problems.append("handles leak")
    return problems


def _states(trial: Trial, tenants: int, duration_s: float) -> str:
    """How much of the growth is states of tenants that have fallen silent."""
    newest = {record.key: record.value or b"" for record in trial.topics[TopicName.TENANT_STATE].records}
    sizes = [len(value) for key, value in newest.items() if key != PARTITION_KEY.encode()]
    mean_bytes = sum(sizes) / max(len(sizes), 1)
    per_hour = (tenants - ACTIVE) * 3600 / duration_s
    return (
        f"new tenants: {per_hour:,.0f} an hour; {len(sizes):,} states of {mean_bytes:.0f} bytes: "
        f"{per_hour * mean_bytes / 1e6:+.1f} MB an hour encoded"
    )


def _print(samples: Sequence[Sample], console: Console) -> None:
    table = Table("minute", "resident MB", "handles", "lag", "events", "CPU s", "load average")
    for sample in samples[:: SAMPLES // 20]:
        row = (
            f"{sample.at_s / 60:.1f}",
            f"{sample.resident_mb:.1f}",
            str(sample.handles),
            str(sample.lag),
            f"{sample.applied:,}",
            f"{sample.cpu_s:.0f}",
            f"{sample.load_average:.1f}",
        )
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
