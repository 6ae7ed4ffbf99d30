"""What could be found of bursts at all: ``python -m benchmarks.quality.bounds``.

An ideal counter knows how each tenant's requests come (rate of the hour, sizes of sessions, pauses), and watches
windows of many widths at every request. Each width has the level that ordinary requests reach so rarely that all
together give one false alarm in 1,000 tenant-days. Prints the shares of bursts that bring any window above its level in
time, and while they last; how rare the highest levels are is continued from lower ones, by a constant factor. Of wide
windows of middling tenants too few levels are common enough for that: what is found at all of their 5x says nothing.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.populations import KINDS, PAUSE_SIGMA, PEAK_HOUR, Floats, Rng
from benchmarks.quality.surges import SIZES

WIDTHS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0)
FALSE_PER_DAY = 0.001 / len(WIDTHS_S)
#: Bursts by times their own rate: how long they last, and how long after the tenth excess request is in time.
BURSTS = {50: (180.0, 2.0), 5: (1_200.0, 60.0)}
REQUESTS, TRIALS, DAY_S = 3_000_000, 1_000, 86_400.0
#: From levels that were passed so often, and from three at least.
_RARELY, _OFTEN, _LEAST_LEVELS = 30, 1_000, 3


def ordinary(rng: Rng, kind: str, rate: float, lasts_s: float) -> Floats:
    """Times of ordinary requests in the hours in which the bursts are, which are busy ones."""
    size, pause_ms, swing, weekend, _ = KINDS[kind]
    level = (1 + swing * np.cos(2 * np.pi * (PEAK_HOUR - 13) / 24)) / ((5 + 2 * weekend) / 7)
    starts = rng.uniform(0, lasts_s, rng.poisson(rate * level * lasts_s / size))
    sizes = rng.geometric(1 / size, len(starts))
    pauses = rng.lognormal(np.log(pause_ms / 1_000), PAUSE_SIGMA, int(sizes.sum()))
    since, firsts = pauses.cumsum(), sizes.cumsum() - sizes
    times: Floats = np.repeat(starts - since[firsts], sizes) + since
    return np.sort(times[times < lasts_s])


def counts(times: Floats, width_s: float) -> NDArray[np.int64]:
    """Requests in the window that ends with each request."""
    counted: NDArray[np.int64] = np.arange(1, len(times) + 1) - np.searchsorted(times, times - width_s, side="right")
    return counted


def level(times: Floats, width_s: float) -> float:
    """The count that ordinary requests reach ``FALSE_PER_DAY`` times a day; what is above it for a while is once."""
    reached, days = counts(times, width_s), times[-1] / DAY_S
    values, rates = [], []
    for value in range(2, int(reached.max()) + 1):
        at = times[reached >= value]
        passed = 1 + int((np.diff(at) > width_s).sum())
        if passed >= _RARELY:
            values.append(value)
            rates.append(np.log(passed / days))
    highest = max(_LEAST_LEVELS, int(np.sum(np.exp(rates) * days <= _OFTEN)))
    slope, start = np.polyfit(values[-highest:], rates[-highest:], 1)
    return float(np.ceil((np.log(FALSE_PER_DAY) - start) / slope))


def found(rng: Rng, kind: str, rate: float, times: int, levels: dict[float, float]) -> tuple[float, float, float]:
    """Shares of bursts found in time and at all, and the median delay of those found, in seconds."""
    lasts_s, limit_s = BURSTS[times]
    delays, before_s = [], max(WIDTHS_S)
    for _ in range(TRIALS):
        usual = ordinary(rng, kind, rate, before_s + lasts_s)
        excess = before_s + rng.exponential(1 / ((times - 1) * rate), 10_000).cumsum()
        excess = excess[excess < before_s + lasts_s]
        both = np.sort(np.concatenate([usual, excess]))
        above = np.any([counts(both, width) >= least for width, least in levels.items()], axis=0)
        hits = both[above & (both >= before_s)]
        tenth_s = excess[min(9, len(excess) - 1)]
        delays.append(max(0.0, hits[0] - tenth_s) if len(hits) else np.inf)
    late = np.array(delays)
    return float((late <= limit_s).mean()), float((late < np.inf).mean()), float(np.median(late))


def main() -> None:
    """Print a row for each size, kind and burst as soon as it is known."""
    argparse.ArgumentParser(prog="python -m benchmarks.quality.bounds", description=__doc__).parse_args()
    print("| Size, kind | Burst | In time | At all | Delay p50 |\n|---|--:|--:|--:|--:|")
    for size in ("small", "medium"):
        for kind in KINDS:
            rng, rate = np.random.default_rng([1, len(size), len(kind)]), SIZES[size] / 60
            usual = ordinary(rng, kind, rate, REQUESTS / rate)
            levels = {width: level(usual, width) for width in WIDTHS_S}
            for times in BURSTS:
                in_time, ever, delay_s = found(rng, kind, rate, times, levels)
                print(f"| {size}, {kind} | {times}x | {in_time:.1%} | {ever:.1%} | {delay_s:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
