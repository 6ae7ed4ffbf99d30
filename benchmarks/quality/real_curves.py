"""Real clients' curves (ServeGen) as streams: counts of each ten minutes and the gaps' distribution as published.

The largest client sends 80 million requests a day, so every client is thinned by one constant share of its own: its
curve over two weeks stays as it is. Runs between two long gaps are kept whole and the pauses between them grow, as in
``tests.real_input``, where the traces are looked for.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.populations import Rng
from benchmarks.quality.streams import DAY_MS, ORIGIN_MS, ROW, Caller, Rows, Stream, Tenant, in_order
from tests.real_input import MISSING, QUANTILE_PLACES, WINDOW_S, Client, TokenQuantiles, Window
from tests.real_input import _token_quantiles as token_quantiles
from tests.real_input import _windows as windows

__all__ = ["MISSING", "real_curves"]

#: A client of n requests a day keeps about sqrt(n * this) of them: some 450,000 a day for all.
KEPT_SCALE = 30.0
TRACE_DAYS = 14
_DAY_S = 86_400


@cache
def _published() -> tuple[dict[Client, list[Window]], dict[Client, dict[int, TokenQuantiles]]]:
    return windows(0, TRACE_DAYS * _DAY_S), token_quantiles()


def real_curves(seed: int, scale: float) -> Stream:
    """Three whole days (times ``scale``, at least one) of every client; there are five such runs of days.

    Which run is the seed's remainder by five; the last has two days. The days of a seed follow each other, so that
    clients are known from the second on. The fifth of the clients whose token counts are not published borrow those of
    another client of their model.
    """
    first = seed % 5 * 3
    days = min(TRACE_DAYS - first, max(1, round(3 * scale)))
    published, tokens = _published()
    rng = np.random.default_rng(seed)
    tenants: list[Tenant] = []
    parts: list[Rows] = []
    for client in sorted(published):
        daily = sum(window.requests for window in published[client]) / len(
            {w.start_s // _DAY_S for w in published[client]}
        )
        share = min(1.0, (KEPT_SCALE / daily) ** 0.5)
        chosen = [w for w in published[client] if first <= w.start_s // _DAY_S < first + days]
        if chosen:
            known = tokens.get(client) or tokens[_lender(rng, client, tokens)]
            parts += [_kept(rng, len(tenants), window, share, known, first) for window in chosen]
            tenants.append(_tenant(client, chosen[0].start_s - first * _DAY_S))
    return Stream("real curves", seed, tenants, in_order(parts), [], ORIGIN_MS + days * DAY_MS)


def _lender(rng: Rng, client: Client, tokens: dict[Client, dict[int, TokenQuantiles]]) -> Client:
    of_model = sorted(other for other in tokens if other[0] == client[0])
    return of_model[int(rng.integers(len(of_model)))]


def _tenant(client: Client, begin_s: int) -> Tenant:
    name = f"servegen-{client[0]}-{client[1]}"
    begin_ms = ORIGIN_MS + begin_s // _DAY_S * DAY_MS
    return Tenant(
        name, "real", 0.0, [Caller("all", "", "")], [client[0]] * 2, 1 << 30, 0, 0, 0, frozenset(), begin_ms=begin_ms
    )


def _kept(  # noqa: PLR0917
    rng: Rng, place: int, window: Window, share: float, known: dict[int, TokenQuantiles], first: int
) -> Rows:
    """The window's share of requests; the fraction of one is drawn."""
    count = int(window.requests * share + rng.random())
    rows = np.zeros(count, ROW)
    if not count:
        return rows
    if window.distribution == "Gamma":
        gaps = rng.gamma(window.shape, window.scale_s, count)
    else:
        gaps = window.scale_s * rng.weibull(window.shape, count)
    is_pause = gaps > gaps.mean()
    runs_s, pauses_s = gaps[~is_pause].sum(), gaps[is_pause].sum()
    span_s = WINDOW_S * (1 - 1 / (count + 1))
    if runs_s > span_s or not pauses_s:
        gaps *= span_s / gaps.sum()
    else:
        gaps[is_pause] *= (span_s - runs_s) / pauses_s
    begin_s = window.start_s - first * _DAY_S
    times_s = begin_s + rng.uniform(0, WINDOW_S - gaps.sum()) + gaps.cumsum()
    rows["time_ms"] = ORIGIN_MS + (times_s * 1_000).astype(np.int64)
    rows["arrival_ms"] = rows["time_ms"]
    rows["tenant"], rows["status"], rows["prompt"], rows["pick"] = place, 200, -1, 1
    quantiles = known[min(known, key=lambda start_s: (abs(start_s - window.start_s), start_s))]
    rows["input"], rows["output"] = (_drawn(rng, counts, count) for counts in quantiles)
    return rows


def _drawn(rng: Rng, counts: list[float], count: int) -> NDArray[np.float64]:
    return np.exp(np.interp(rng.random(count), QUANTILE_PLACES, np.log(np.maximum(counts, 1.0))))
