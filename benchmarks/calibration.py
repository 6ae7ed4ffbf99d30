"""How often ordinary windows reach a score: ``python -m benchmarks.calibration [--out FOLDER]`` (two minutes).

A score of .999 says that one ordinary window of the tenant in a thousand lies beyond. Here the core runs over
streams in which nothing happens, real clients' curves and made-up tenants, and every window is scored at the moment
before it is learned. With ``--out`` writes calibration.md and two charts; without the traces of real clients only the
made-up tenants are measured.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import orjson
import yaml
from msgspec import Struct, field
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.calibration_page import ANY, ANY_ABOVE_FLOOR, page, reliability_chart
from benchmarks.quality import drifts, real_curves
from benchmarks.quality.streams import Stream, batches, event_json
from stream_app.detection import closings
from stream_app.detection.detector import Detector
from stream_app.detection.features import CODES, PER_MINUTE, PER_TEN_MINUTES
from stream_app.detection.floors import expect, is_known, own_floor
from stream_app.detection.learning import learn
from stream_app.detection.policy import Policy, load_policy
from stream_app.detection.records import Record
from stream_app.detection.scorers import CountExpectation
from stream_app.detection.state import TenantState
from stream_app.detection.windows import is_block_end
from stream_app.policies import DEFAULT_POLICY
from tests.real_input import azure_events

#: Seen by nobody who tuned the detector.
SEED = 301
#: A day of all real clients, and thirty made-up tenants: two minutes.
SCALE = 0.33
_REQUESTS = {60: CODES.index("requests_60s"), 600: CODES.index("requests_600s")}


Floats = NDArray[np.float64]
#: Begins a stream: arrival and JSON of every event.
Source = Callable[[], Iterator[tuple[int, bytes]]]


class Scores(Struct):
    """Scores of windows by feature and tenant; ``newcomers`` are those with less than an hour of active minutes."""

    known: dict[str, dict[int, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    newcomers: dict[str, dict[int, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    states: dict[int, TenantState] = field(default_factory=dict)

    def add(self, state: TenantState, policy: Policy, minute: int, values: Iterable[tuple[int, float]]) -> None:
        """Score what is about to be learned of a closed minute."""
        self.states[id(state)] = state  # held, so that no other one gets its number
        known, found = is_known(state), dict(values)
        places = list(PER_MINUTE) if found[_REQUESTS[60]] else []
        if is_block_end(minute) and found[_REQUESTS[600]]:
            places += PER_TEN_MINUTES
        scores, most, most_above = self.known if known else self.newcomers, 0.0, 0.0
        for place in places:
            if (value := found.get(place)) is None:
                continue
            expectation = expect(state, place, minute)
            if isinstance(expectation, CountExpectation) and not expectation.is_known:
                continue  # not judged yet
            score = expectation.score(value) if value else 0.0
            scores[CODES[place]][id(state)].append(score)
            most = max(most, score)
            if value > own_floor(policy, place, expectation, is_known=known):
                most_above = max(most_above, score)
        if places:
            scores[ANY][id(state)].append(most)
            scores[ANY_ABOVE_FLOOR][id(state)].append(most_above)


def observing_policy() -> Policy:
    """The default policy, which takes nobody beyond observe: who is denied is not learned from."""
    plain = yaml.safe_load(DEFAULT_POLICY.read_text())
    plain["rungs"] = {"observe": plain["rungs"]["observe"]}
    plain.pop("together")
    for rule in plain["features"].values():
        rule["up_to"] = "observe"
    return load_policy(yaml.safe_dump(plain), DEFAULT_POLICY.name)


def values_of(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """Arrival and JSON of every event."""
    number = 0
    for rows, times in batches(stream.rows):
        for row, time in zip(rows, times, strict=True):
            yield row[1], event_json(stream.tenants[row[2]], row, number, time, is_denied=False)
            number += 1


def azure_values() -> Iterator[tuple[int, bytes]]:
    """Arrival and JSON of every event of Azure's trace: two services, an hour."""
    for event in azure_events():
        time_ms = int(np.datetime64(str(event["time"]).removesuffix("Z"), "ms").astype(int))
        yield time_ms, orjson.dumps(event)


def score(values: Iterator[tuple[int, bytes]], policy: Policy) -> Scores:
    """Run the core over a stream; what is open at its end is left out."""
    scores = Scores()

    def learn_scored(
        state: TenantState, rules: Policy, minute: int, found: list[tuple[int, float]], suspect: set[int]
    ) -> None:
        scores.add(state, rules, minute, found)
        learn(state, rules, minute, found, suspect)

    detector = Detector("calibration", 0, 1, policy, {})
    with patch.object(closings, "learn", learn_scored):  # nothing else shows a window before it is learned
        for number, (at_ms, value) in enumerate(values):
            detector.handle((Record(number, at_ms, value, {}),))
    return scores


def main() -> int:
    """Measure, print the page, and write it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description="Calibration of scores.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--scale", type=float, default=SCALE, help="multiplies days of real curves and made-up tenants")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    console = Console(stderr=True)
    policy = observing_policy()
    measured: dict[str, Scores] = {}
    sources: dict[str, Source] = {"made-up": lambda: values_of(drifts.calm(args.seed, args.scale))}
    if real_curves.MISSING:
        console.print(f"without real curves: {real_curves.MISSING}", markup=False, soft_wrap=True)
    else:
        real: dict[str, Source] = {
            "real": lambda: values_of(real_curves.real_curves(args.seed, args.scale)),
            "azure": azure_values,
        }
        sources = real | sources
    columns = TextColumn("{task.description}: {task.completed:,.0f} events"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        for name, begin in sources.items():
            task = progress.add_task(name, total=None)
            measured[name] = score(_told(begin(), progress, task), policy)
            progress.update(task, total=progress.tasks[task].completed)
    text = page(measured, args.seed, args.scale)
    sys.stdout.write(text)
    if args.out:
        (args.out / "calibration.md").write_text(text)
        for name in ("real", "made-up"):
            if name in measured:
                (args.out / f"calibration-{name}.svg").write_text(reliability_chart(name, measured[name].known))
    return 0


def _told(values: Iterator[tuple[int, bytes]], progress: Progress, task: TaskID) -> Iterator[tuple[int, bytes]]:
    for number, value in enumerate(values):
        if number % 10_000 == 0:
            progress.update(task, advance=10_000)
        yield value


if __name__ == "__main__":
    sys.exit(main())
