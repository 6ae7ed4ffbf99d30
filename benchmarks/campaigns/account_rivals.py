"""Rivals that judge each tenant by itself, or the whole stream: when each of them raises which alarm."""

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import shapiro

from benchmarks.campaigns.observations import Ints, Seen

MINUTE_MS = 60_000
#: The lowest published tiers of large providers allow about so many requests a minute.
LIMIT_PER_MINUTE = 50
#: PRADA (Juuti et al. 2019) waits for 100 queries; light accounts send that in a week, so it is given fewer. Its
#: threshold on the Shapiro-Wilk statistic is what one benign tenant in 200 of the tuning seeds falls below.
PRADA_LEAST, PRADA_EVERY, PRADA_DELTA = 30, 10, 0.1
#: Prompts of a window, as published; the threshold is the most that so many windows reach right after the reference.
WINDOW, DRAWN = 1_500, 20
#: Reference and threshold are of this share of the stream at its beginning, before any campaign.
REFERENCE_SHARE = 0.2
#: Width of the kernel: half of the bits of unrelated prompts differ.
WIDTH_BITS = 16.0

Bits = NDArray[np.float32]


class AccountRival(Struct, frozen=True):
    """``alarms`` gives by tenant when it is named first."""

    name: str
    alarms: Callable[[Seen], dict[int, int]]


def rate_limit(seen: Seen) -> dict[int, int]:
    """More requests in a minute than the lowest tier allows."""
    order = np.lexsort((seen.time_ms, seen.tenant))
    tenant, time_ms = seen.tenant[order], seen.time_ms[order]
    last = np.arange(len(order)) - LIMIT_PER_MINUTE
    over = last >= 0
    over[over] = (tenant[last[over]] == tenant[over]) & (time_ms[over] - time_ms[last[over]] < MINUTE_MS)
    return _first(tenant[over], time_ms[over])


def prada(seen: Seen) -> dict[int, int]:
    """Distances of a tenant's new prompts to its nearest earlier one are not normally distributed."""
    found: dict[int, int] = {}
    for tenant, rows in _by_tenant(seen):
        if len(rows) >= PRADA_LEAST and (place := _first_odd(_bits(seen.simhash[rows]))) is not None:
            found[tenant] = int(seen.time_ms[rows[place]])
    return found


def shapiro_floor(seen: Seen) -> dict[int, float]:
    """The lowest statistic that PRADA meets, by tenant: what its threshold is settled by."""
    lowest = {}
    for tenant, rows in _by_tenant(seen):
        statistics = [value for _, value in _statistics(_bits(seen.simhash[rows]))]
        if statistics:
            lowest[tenant] = min(statistics)
    return lowest


def _first_odd(bits: Bits) -> int | None:
    return next((place for place, value in _statistics(bits) if value < PRADA_DELTA), None)


def _statistics(bits: Bits) -> list[tuple[int, float]]:
    distances = _distances(bits, bits)
    distances[np.triu_indices(len(bits))] = np.inf
    nearest = distances.min(axis=1)[1:]
    found = []
    for count in range(PRADA_LEAST, len(nearest) + 1, PRADA_EVERY):
        sample = nearest[:count]
        inner = sample[np.abs(sample - sample.mean()) <= 3 * sample.std()]
        if inner.std() > 0:
            found.append((count, float(shapiro(inner).statistic)))
    return found


class Windows(Struct, frozen=True):
    """When each window ended, and whether its prompts are not those of the reference."""

    end_ms: Ints
    is_odd: NDArray[np.bool_]


def mmd_windows(seen: Seen, seed: int = 1) -> Windows:
    """Windows of 1,500 prompts against a reference by maximum mean discrepancy; names no account."""
    rows = np.flatnonzero(seen.simhash)
    begin, end = int(seen.time_ms[0]), int(seen.time_ms[-1])
    is_early = seen.time_ms[rows] < begin + REFERENCE_SHARE * (end - begin)
    rng = np.random.default_rng(seed)
    early, later = rows[is_early], rows[~is_early]
    before, after = early[: len(early) // 2], early[len(early) // 2 :]
    if len(after) < WINDOW:
        return Windows(np.zeros(0, np.int64), np.zeros(0, np.bool_))
    reference = _bits(seen.simhash[rng.choice(before, min(len(before), 2 * WINDOW), replace=False)])
    own = _kernel(reference, reference).mean()

    def discrepancy(chosen: NDArray[np.intp]) -> float:
        bits = _bits(seen.simhash[chosen])
        return float(own + _kernel(bits, bits).mean() - 2 * _kernel(bits, reference).mean())

    starts = rng.integers(0, len(after) - WINDOW + 1, DRAWN)
    threshold = max(discrepancy(after[start : start + WINDOW]) for start in starts.tolist())
    pieces = [later[start : start + WINDOW] for start in range(0, len(later) - WINDOW + 1, WINDOW)]
    is_odd = np.array([discrepancy(piece) > threshold for piece in pieces], np.bool_)
    return Windows(np.array([seen.time_ms[piece[-1]] for piece in pieces], np.int64), is_odd)


def _kernel(one: Bits, other: Bits) -> Bits:
    similar: Bits = np.exp(-_distances(one, other) / WIDTH_BITS)
    return similar


def _distances(one: Bits, other: Bits) -> Bits:
    """Hamming distances."""
    distances: Bits = one.sum(axis=1)[:, None] + other.sum(axis=1)[None, :] - 2 * one @ other.T
    return distances


def _bits(simhash: NDArray[np.uint64]) -> Bits:
    return np.unpackbits(simhash.view(np.uint8).reshape(-1, 8), axis=1).astype(np.float32)


def _by_tenant(seen: Seen) -> list[tuple[int, NDArray[np.intp]]]:
    """A tenant's prompts, in order of time."""
    rows = np.flatnonzero(seen.simhash)
    rows = rows[np.argsort(seen.tenant[rows], kind="stable")]
    edges = np.flatnonzero(np.diff(seen.tenant[rows])) + 1
    return [(int(seen.tenant[part[0]]), part[:400]) for part in np.split(rows, edges) if len(part)]


def _first(tenant: Ints, time_ms: Ints) -> dict[int, int]:
    found: dict[int, int] = {}
    for name, at in zip(tenant.tolist(), time_ms.tolist(), strict=True):
        found[name] = min(at, found.get(name, at))
    return found


ACCOUNT_RIVALS = (AccountRival("static rate limit", rate_limit), AccountRival("PRADA", prada))
