"""``python -m benchmarks.nab``: standard-profile scores on NAB's real series, with and without cool-down (a minute).

The series are not part of the project; they are looked for in ``STILLWATCH_SHARED_DATA``.
"""

import csv
import gzip
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.nab.detectors import DETECTORS, Detector, cooled_down
from benchmarks.nab.scoring import Result, Series, score_corpus
from tests.real_input import SHARED_DATA

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


def measure(corpus: list[Series], detector: Detector) -> tuple[Result, Result]:
    """A detector's results, as it scores and with a cool-down."""
    scores = [detector(series) for series in corpus]
    return score_corpus(corpus, scores), score_corpus(corpus, [cooled_down(part) for part in scores])


def main() -> None:
    """Print a table."""
    console = Console(stderr=True)
    if not NAB.is_file():
        console.print(f"no series {NAB} (STILLWATCH_SHARED_DATA)")
        sys.exit(1)
    corpus = read_corpus()
    table = Table("detector", "score", "found", "false", "with cool-down", "found", "false")
    for name, detector in track(DETECTORS.items(), "detectors", console=console):
        cells = [
            [f"{r.score:.1f}", f"{r.found}/{r.windows}", str(r.false_detections)] for r in measure(corpus, detector)
        ]
        table.add_row(name, *cells[0], *cells[1])
    Console().print(table)


if __name__ == "__main__":
    main()
