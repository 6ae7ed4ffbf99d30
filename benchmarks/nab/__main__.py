"""``python -m benchmarks.nab``: standard-profile scores on NAB's real series, with and without silence after an alarm.

Some five minutes, four of them PySAD's. The series are not part of the project; they are looked for in
``STILLWATCH_SHARED_DATA``. The first run installs PySAD into an environment of its own.
"""

import argparse
import csv
import gzip
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.nab.detectors import RIVALS, STILLWATCH, ten_rows
from benchmarks.nab.library import pysad_scores
from benchmarks.nab.scoring import Floats, Result, Series, score_corpus
from tests.real_input import SHARED_DATA

#: Rows of silence after a detection: none, and a third and two thirds of a day of five minutes.
SILENCES = (0, 100, 200)
TEN = ", ten rows"
NAB = SHARED_DATA / "timeseries" / "nab_real.csv.gz"


def read_corpus(path: Path = NAB) -> list[Series]:
    """All series of the file, in its order."""
    rows: dict[str, list[tuple[str, float, bool]]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            rows[row["series"]].append((row["timestamp"], float(row["value"]), row["in_anomaly_window"] == "1"))
    return [_series(name, *zip(*columns, strict=True)) for name, columns in rows.items()]


def _series(name: str, times: tuple[str, ...], values: tuple[float, ...], labels: tuple[bool, ...]) -> Series:
    steps = np.diff(np.array([False, *labels, False]).astype(int))
    windows = list(zip(np.flatnonzero(steps == 1).tolist(), (np.flatnonzero(steps == -1) - 1).tolist(), strict=True))
    return Series(name, [_hour(time) for time in times], np.array(values), windows)


def _hour(time: str) -> int:
    return int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()) // 3600


def all_scores(corpus: list[Series], progress: Progress) -> dict[str, list[Floats]]:
    """Scores of every detector; of the rivals also on means of ten rows, as Stillwatch judges them."""
    smooth = [series._replace(values=ten_rows(series.values)) for series in corpus]
    own = {name: [detector(s) for s in corpus] for name, detector in progress.track(STILLWATCH.items())}
    rivals = {name: [detector(s) for s in corpus] for name, detector in progress.track(RIVALS.items())}
    rivals |= {f"{name}{TEN}": [detector(s) for s in smooth] for name, detector in progress.track(RIVALS.items())}
    for suffix, series in (("", corpus), (TEN, smooth)):
        found: dict[str, list[Floats]] = {}
        for _ in progress.track(pysad_scores(series, found), total=len(series), description=f"PySAD{suffix}"):
            pass
        rivals |= {f"{name}{suffix}": scores for name, scores in found.items()}
    return own | rivals


def main() -> None:
    """Print a table, the best first."""
    argparse.ArgumentParser(prog="python -m benchmarks.nab", description=__doc__).parse_args()
    console = Console(stderr=True)
    if not NAB.is_file():
        console.print(f"no series {NAB} (STILLWATCH_SHARED_DATA)")
        sys.exit(1)
    corpus = read_corpus()
    with Progress(console=console) as progress:
        scores = all_scores(corpus, progress)
        measured = {
            name: [score_corpus(corpus, parts, silence) for silence in SILENCES]
            for name, parts in progress.track(scores.items(), description="scoring")
        }
    print("| Detector | " + " | ".join(f"Silence {rows} | Found | False" for rows in SILENCES) + " |")
    print("|---" * (1 + 3 * len(SILENCES)) + "|")
    for name, results in sorted(measured.items(), key=lambda item: -max(result.score for result in item[1])):
        print(f"| {name} | " + " | ".join(map(_cells, results)) + " |")


def _cells(result: Result) -> str:
    return f"{result.score:.1f} | {result.found} | {result.false_detections}"


if __name__ == "__main__":
    main()
