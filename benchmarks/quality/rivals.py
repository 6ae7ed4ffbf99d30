"""Rivals: four other ways to raise an alarm about a tenant, each a statistic that is compared with one threshold.

A rival sees the same requests undenied and without decoding. ``Levels`` hold its statistic at the moments at which it
is worked out; every threshold is then a comparison, so a whole curve costs one run. Each gets what is good for it:
tokens beside requests, its own profile of every tenant where it has one.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees
from scipy.signal import lfilter

from benchmarks.quality.streams import MINUTE_MS, Rows, Stream

Floats = NDArray[np.float64]

#: Published limits allow about a thousand tokens per request (such as 500 requests and 500,000 tokens a minute).
TOKENS_PER_REQUEST = 1_000
#: Exponential weight of a minute: a memory of some three hours, within a session and a day.
EW_WEIGHT = 1 / 180
#: Minutes before the first one is judged, and the least standard deviation: one request, or its worth of tokens.
EW_WARM_UP = 30
EW_LEAST_SD = (1.0, 1_000.0, 1_000.0)
#: River's defaults but for the height (8), which takes half as long again.
HST_TREES, HST_HEIGHT, HST_WINDOW, HST_SEED = 10, 6, 250, 1
#: Seconds in which a bucket leaks one request.
LEAKS_S = (30.0, 10.0, 2.0, 0.5)


class Levels(Struct, frozen=True):
    """A rival's statistic: of which tenant, known when (ms), how high; ordered by time within a tenant."""

    tenant: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    level: Floats


class Rival(Struct, frozen=True):
    """A name and how its statistic is worked out."""

    name: str
    levels: Callable[[Stream], Levels]


def _by_tenant(stream: Stream) -> list[tuple[int, Rows]]:
    order = np.lexsort((stream.rows["arrival_ms"], stream.rows["tenant"]))
    rows = stream.rows[order]
    edges = np.searchsorted(rows["tenant"], np.arange(len(stream.tenants) + 1))
    return [(place, rows[edges[place] : edges[place + 1]]) for place in range(len(stream.tenants))]


def static_limit(stream: Stream) -> Levels:
    """Requests or thousands of tokens in the last minute, whichever is more; one limit for all."""
    parts = []
    for place, rows in _by_tenant(stream):
        at = rows["arrival_ms"]
        since = np.searchsorted(at, at - MINUTE_MS, side="right")
        tokens = np.concatenate([[0], np.cumsum(rows["input"].astype(np.int64) + rows["output"])])
        count = np.arange(1, len(at) + 1)
        parts.append((place, at, np.maximum(count - since, (tokens[count] - tokens[since]) / TOKENS_PER_REQUEST)))
    return _levels(parts)


def leaky_bucket(leak_s: float) -> Callable[[Stream], Levels]:
    """As a CrowdSec scenario of type leaky: how full a bucket of requests is that leaks one in ``leak_s``.

    The threshold is its capacity. Overflows within an hour of each other count as one alarm (blackhole).
    """

    def levels(stream: Stream) -> Levels:
        parts = []
        for place, rows in _by_tenant(stream):
            poured = np.arange(len(rows)) - rows["arrival_ms"] / (1_000 * leak_s)
            parts.append(
                (place, rows["arrival_ms"], poured - np.minimum.accumulate(poured) + 1 if len(rows) else poured)
            )
        return _levels(parts)

    return levels


class _Minutes(Struct, frozen=True):
    """Sums per active minute of a tenant, one row each: minute, requests, input and output tokens, errors."""

    minute: NDArray[np.int64]
    sums: Floats


def _minutes(rows: Rows) -> _Minutes:
    minute, inverse = np.unique(rows["arrival_ms"] // MINUTE_MS, return_inverse=True)
    columns = (np.ones(len(rows)), rows["input"], rows["output"], rows["status"] >= 400)
    return _Minutes(minute, np.array([np.bincount(inverse, column, len(minute)) for column in columns]).T)


def ew_z_score(stream: Stream) -> Levels:
    """How many standard deviations a minute's requests or tokens lie above the tenant's exponentially weighted mean.

    Silent minutes count as zeros. Known when the minute ends.
    """
    parts = []
    for place, rows in _by_tenant(stream):
        if not len(rows):
            continue
        minutes = _minutes(rows)
        place_of = minutes.minute - minutes.minute[0]
        series = np.zeros((int(place_of[-1]) + 1, 3))
        series[place_of] = minutes.sums[:, :3]
        z = np.max([_z(series[:, column], least) for column, least in enumerate(EW_LEAST_SD)], axis=0)[place_of]
        parts.append((place, (minutes.minute + 1) * MINUTE_MS, z))
    return _levels(parts)


def _z(series: Floats, least_sd: float) -> Floats:
    taps = ([EW_WEIGHT], [1, EW_WEIGHT - 1])
    mean, square = lfilter(*taps, series), lfilter(*taps, series**2)
    warm = 1 - (1 - EW_WEIGHT) ** np.arange(1, len(series) + 1)  # as if it had begun with its own first minutes
    mean, square = mean / warm, square / warm
    sd = np.sqrt(np.maximum(square - mean**2, least_sd**2))
    z = np.zeros(len(series))
    z[1:] = (series[1:] - mean[:-1]) / sd[:-1]
    z[:EW_WARM_UP] = 0
    return z


def half_space_trees(stream: Stream) -> Levels:
    """River's HalfSpaceTrees over the active minutes of everybody, each compared with its tenant's own mean.

    Features: requests and the two kinds of tokens, each as its size and as its ratio to the tenant's mean so far on a
    log scale, and the share of errors; all squeezed into 0..1. Scores, then learns.
    """
    found = [(place, _minutes(rows)) for place, rows in _by_tenant(stream) if len(rows)]
    features = np.concatenate([_squeezed(minutes.sums) for _, minutes in found])
    tenants = np.concatenate([np.full(len(minutes.minute), place) for place, minutes in found])
    at = np.concatenate([(minutes.minute + 1) * MINUTE_MS for _, minutes in found])
    trees = HalfSpaceTrees(n_trees=HST_TREES, height=HST_HEIGHT, window_size=HST_WINDOW, seed=HST_SEED)
    level = np.zeros(len(at))
    order = np.lexsort((tenants, at))
    for place, values in zip(order.tolist(), features[order].tolist(), strict=True):
        named = dict(enumerate(values))
        level[place] = trees.score_one(named)
        trees.learn_one(named)
    return Levels(tenants.astype(np.int32), at, level)


def _squeezed(sums: Floats) -> Floats:
    logs = np.log1p(sums[:, :3])
    before = (np.cumsum(logs, axis=0) - logs) / np.maximum(np.arange(len(logs)), 1)[:, None]
    before[0] = logs[0]
    own = 1 / (1 + np.exp(before - logs))
    return np.hstack([np.minimum(logs / 16, 1), own, (sums[:, 3] / sums[:, 0])[:, None]])


def _levels(parts: list[tuple[int, NDArray[np.int64], Floats]]) -> Levels:
    tenants = np.concatenate([np.full(len(at), place, np.int32) for place, at, _ in parts])
    return Levels(tenants, np.concatenate([at for _, at, _ in parts]), np.concatenate([level for *_, level in parts]))


RIVALS = (
    Rival("static rate limit", static_limit),
    Rival("EW z-score", ew_z_score),
    Rival("HalfSpaceTrees alone", half_space_trees),
    *(Rival(f"leaky bucket, one in {leak_s:g} s", leaky_bucket(leak_s)) for leak_s in LEAKS_S),
)
