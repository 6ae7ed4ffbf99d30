"""Events made from published traces of real services. The traces stay outside the project; without them tests skip.

Azure LLM inference traces 2023 (CC BY 4.0): every request as published. ServeGen (Apache-2.0): per client and ten
minutes a rate and a fitted distribution of the gaps, from which arrivals are drawn.
"""

import csv
import gzip
import math
import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Event = dict[str, object]
Client = tuple[str, str]
Floats = NDArray[np.float64]

SHARED_DATA = Path(
    os.environ.get("STILLWATCH_SHARED_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data"
)
AZURE = SHARED_DATA / "traffic" / "azure2023.csv.gz"
SERVEGEN_RATES = SHARED_DATA / "traffic" / "servegen_clients_rate.csv.gz"
SERVEGEN_TOKENS = SHARED_DATA / "traffic" / "servegen_clients_tokens.csv.gz"

#: Reason to skip, or None when the traces are there.
MISSING = next(
    (
        f"no trace {path} (STILLWATCH_SHARED_DATA)"
        for path in (AZURE, SERVEGEN_RATES, SERVEGEN_TOKENS)
        if not path.is_file()
    ),
    None,
)

#: ServeGen counts seconds from an unnamed midnight; this date is ours.
SERVEGEN_ORIGIN_MS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000

#: The slice: four hours from noon of the tenth day, when most clients with published token counts are active.
SLICE_BEGIN_S = 9 * 86_400 + 12 * 3_600
SLICE_SPAN_S = 4 * 3_600

WINDOW_S = 600
TOKEN_WINDOW_S = 21_600

#: A client of n requests in the slice keeps about sqrt(n * this) of them: the order of the clients by size and the
#: heavy tail stay, and the slice comes to some 270,000 events.
KEPT_SCALE = 175.0

#: Published quantiles of token counts; between them interpolated, constant outside.
QUANTILES = ("p10", "p50", "p90", "p99")
QUANTILE_PLACES = (0.1, 0.5, 0.9, 0.99)


class Window(NamedTuple):
    """One client's ten minutes as published; ``shape`` and ``scale_s`` belong to the distribution of the gaps."""

    start_s: int
    requests: int
    distribution: str
    shape: float
    scale_s: float


class TokenQuantiles(NamedTuple):
    """Token counts of one client in six hours, at the published quantiles."""

    inputs: list[float]
    outputs: list[float]


def azure_events() -> Iterator[Event]:
    """All 28,185 requests in order of time.

    One tenant per service, ``azure-code`` and ``azure-conv``. The trace names no accounts and none are invented: each
    tenant has the one account ``all``.
    """
    with gzip.open(AZURE, "rt", newline="") as file:
        rows = sorted(
            (int(row["ts_ms"]), row["service"], number, int(row["input_tokens"]), int(row["output_tokens"]))
            for number, row in enumerate(csv.DictReader(file))
        )
    for time_ms, service, number, input_tokens, output_tokens in rows:
        yield _event(f"azure-{number}", time_ms, f"azure-{service}", service, (input_tokens, output_tokens))


def servegen_events(
    seed: int, begin_s: int = SLICE_BEGIN_S, span_s: int = SLICE_SPAN_S, kept_scale: float = KEPT_SCALE
) -> Iterator[Event]:
    """The slice's requests in order of time: one tenant per client that has published token counts.

    Per client and ten-minute window, as many requests as published are drawn with gaps from the published
    distribution (Gamma or Weibull); gaps that fill less than the window are placed in it at random, longer ones are
    scaled down to it. A *session* is a run of requests between two gaps longer than the window's mean gap. Sessions
    are kept or dropped as a whole, with one probability per client (see ``KEPT_SCALE``): so the gaps inside a burst
    are the drawn ones, and only the pauses between bursts grow. The trace names no accounts: each tenant has the one
    account ``all``; ``session_id`` numbers the kept sessions.
    """
    tokens = _token_quantiles()
    clients = {client: windows for client, windows in _windows(begin_s, span_s).items() if client in tokens}
    seeds = np.random.SeedSequence(seed).spawn(len(clients))
    drawn = []
    for place, (client, client_seed) in enumerate(zip(sorted(clients), seeds, strict=True)):
        rng = np.random.default_rng(client_seed)
        total = sum(window.requests for window in clients[client])
        kept_share = min(1.0, math.sqrt(kept_scale / total))
        for window in clients[client]:
            times_s, sessions = _kept_arrivals(window, kept_share, rng)
            inputs, outputs = _drawn_tokens(tokens[client], window.start_s, len(times_s), rng)
            drawn.append((np.full(len(times_s), place), times_s, sessions, inputs, outputs, window.start_s))
    yield from _in_order(sorted(clients), drawn)


def _in_order(
    clients: list[Client], drawn: list[tuple[NDArray[np.int64], Floats, NDArray[np.int64], Floats, Floats, int]]
) -> Iterator[Event]:
    places, times_s, sessions, inputs, outputs = (
        np.concatenate([batch[column] for batch in drawn]) for column in range(5)
    )
    starts = np.concatenate([np.full(len(batch[0]), batch[5]) for batch in drawn])
    order = np.lexsort((places, times_s))
    for number, row in enumerate(order.tolist()):
        model, client = clients[places[row]]
        yield _event(
            f"servegen-{number}",
            SERVEGEN_ORIGIN_MS + int(times_s[row] * 1_000),
            f"servegen-{model}-{client}",
            model,
            (int(inputs[row]), int(outputs[row])),
        ) | {"session_id": f"{client}-{starts[row]}-{sessions[row]}"}


def _kept_arrivals(window: Window, kept_share: float, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    if window.distribution == "Gamma":
        gaps = rng.gamma(window.shape, window.scale_s, window.requests)
    else:
        gaps = window.scale_s * rng.weibull(window.shape, window.requests)
    gaps *= min(1.0, WINDOW_S / gaps.sum())
    times_s = window.start_s + rng.uniform(0.0, WINDOW_S - gaps.sum() + 1e-9) + gaps.cumsum()
    sessions = (gaps > gaps.mean()).cumsum()
    is_kept = rng.random(sessions[-1] + 1) < kept_share
    chosen = is_kept[sessions]
    return times_s[chosen], sessions[chosen]


def _drawn_tokens(
    quantiles: dict[int, TokenQuantiles], start_s: int, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """From the client's six hours that hold the window, or else the nearest published ones."""
    held = start_s // TOKEN_WINDOW_S * TOKEN_WINDOW_S
    nearest = quantiles[min(quantiles, key=lambda published: (abs(published - held), published))]
    inputs, outputs = (
        np.exp(np.interp(rng.random(count), QUANTILE_PLACES, np.log(np.maximum(counts, 1.0)))).round()
        for counts in nearest
    )
    return inputs, outputs


def _windows(begin_s: int, span_s: int) -> dict[Client, list[Window]]:
    windows: dict[Client, list[Window]] = defaultdict(list)
    with gzip.open(SERVEGEN_RATES, "rt", newline="") as file:
        for row in csv.DictReader(file):
            start_s = int(row["t_s"])
            requests = round(float(row["req_per_s"]) * WINDOW_S)
            if begin_s <= start_s < begin_s + span_s and requests:
                shape, scale_s = float(row["iat_arg1"]), float(row["iat_arg2"])
                windows[row["model"], row["client"]].append(Window(start_s, requests, row["iat_dist"], shape, scale_s))
    return windows


def _token_quantiles() -> dict[Client, dict[int, TokenQuantiles]]:
    quantiles: dict[Client, dict[int, TokenQuantiles]] = defaultdict(dict)
    with gzip.open(SERVEGEN_TOKENS, "rt", newline="") as file:
        for row in csv.DictReader(file):
            quantiles[row["model"], row["client"]][int(row["t_s"])] = TokenQuantiles(
                [float(row[f"in_{name}"]) for name in QUANTILES], [float(row[f"out_{name}"]) for name in QUANTILES]
            )
    return quantiles


def _event(event_id: str, time_ms: int, tenant_id: str, model: str, tokens: tuple[int, int]) -> Event:
    time = datetime.fromtimestamp(time_ms / 1_000, tz=UTC)
    return {
        "id": event_id,
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tenant_id": tenant_id,
        "account_id": "all",
        "model": model,
        "status_code": 200,
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
    }
