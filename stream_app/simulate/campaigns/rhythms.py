"""When tenants are active: hourly series of relative load, from published clients where there are any."""

import csv
import gzip
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR_S = 3_600
WEEK_HOURS = 168

#: Hours of a series: the published ones last fourteen days.
SERIES_HOURS = 2 * WEEK_HOURS

#: Made-up series, as many as the published clients in order of size.
MADE_UP = 128

#: An hour of a client is at most so many of its mean hours: a client with one hour in two weeks is no rhythm.
MAX_HOUR = 30.0

#: A published client counts when it is active in at least this many hours.
MIN_ACTIVE_HOURS = 24


@cache
def load_rhythms(folder: Path) -> Floats:
    """One row per client, one column per hour from a Monday's midnight, each row with mean 1.

    ServeGen's clients (Apache-2.0) where the folder has them. Hours in which all of them are silent are gaps of the
    collection and take the values of the day before.
    """
    path = folder / "traffic" / "servegen_clients_rate.csv.gz"
    series = _published(path) if path.is_file() else _made_up(np.random.default_rng(3))
    series = np.minimum(series / series.mean(axis=1, keepdims=True), MAX_HOUR)
    scaled: Floats = series / series.mean(axis=1, keepdims=True)
    return scaled


def _published(path: Path) -> Floats:
    hours: dict[tuple[str, str], Floats] = defaultdict(lambda: np.zeros(SERIES_HOURS))
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            hour = int(row["t_s"]) // HOUR_S
            if hour < SERIES_HOURS:
                hours[row["model"], row["client"]][hour] += float(row["req_per_s"])
    series = np.array([row for _, row in sorted(hours.items()) if np.count_nonzero(row) >= MIN_ACTIVE_HOURS])
    is_gap = series.sum(axis=0) == 0
    for gap in np.flatnonzero(is_gap).tolist():
        series[:, gap] = series[:, gap - 24 if gap >= 24 else gap + 24]
    return series


def _made_up(rng: np.random.Generator) -> Floats:
    """A daily wave, quieter weekends, and a slow lognormal walk that makes some days silent and others busy."""
    hours = np.arange(SERIES_HOURS)
    daily = 1 + rng.uniform(0.1, 0.95, (MADE_UP, 1)) * np.cos(2 * np.pi * (hours % 24 - 14) / 24)
    weekend = np.where(hours % WEEK_HOURS >= 5 * 24, rng.uniform(0.2, 1.0, (MADE_UP, 1)), 1.0)
    walk = np.zeros((MADE_UP, SERIES_HOURS))
    steps = rng.normal(0.0, rng.uniform(0.2, 0.6, (MADE_UP, 1)), walk.shape)
    for hour in range(1, SERIES_HOURS):
        walk[:, hour] = 0.9 * walk[:, hour - 1] + steps[:, hour]
    made_up: Floats = daily * weekend * np.exp(walk)
    return made_up
