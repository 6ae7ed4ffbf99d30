"""Calibration told: tables of how often scores are reached against what they say, and a chart of it as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.features import FEATURES

LEVELS = (0.9, 0.99, 0.999, 0.9999)
ANY, ANY_ABOVE_FLOOR = "any feature", "any feature above its floor"
_RESAMPLES, _SEED = 400, 1
#: Fewer windows than this beyond a level, were it right, say nothing of it: the cell stays empty.
_LEAST_EXPECTED = 1.0
#: Who has seen none of something may be sure by 95 % that no more than this was to be expected.
_NONE = 3.0
#: Lines of the chart; the others are in the table.
_DRAWN = (
    *("requests_10s", "requests_60s", "requests_600s", "input_tokens_600s", "output_per_request_600s"),
    *("surge_60s", ANY),
)
_AXIS = "score; share of windows beyond it"
_COLOURS = ("#0b6e4f", "#7cc4a4", "#4a7fb5", "#b5804a", "#8a4ab5", "#b54a5e", "#777777")
_LEFT, _TOP, _WIDTH, _HEIGHT, _KEY = 80, 20, 420, 320, 230
_POWERS = -5, 0

_INTRODUCTION = """\
A score of .999 says that one ordinary window of this tenant in a thousand lies beyond. Here nothing happens, and every
window is scored at the moment before it is learned. A cell is how many times as often as said a score was reached: 1 is
right, below 1 is calmer than said, above 1 means more alarms. Intervals are 95 %, bootstrapped over tenants;
where none was seen the bound takes windows for independent. A cell is empty where not even one was to be expected."""
_REPEAT = """\
`python -m benchmarks.calibration --seed {seed} --scale {scale}` repeats it; decisions are left at observe, so that
everything is learned."""
_NEWCOMERS = "Windows of tenants with less than an hour of active minutes; they are denied only beyond a floor."

ByTenant = Mapping[int, Sequence[float]]


class Measured(Protocol):
    """Scores by feature and tenant, of tenants known for an hour of activity and of newcomers."""

    @property
    def known(self) -> Mapping[str, ByTenant]: ...

    @property
    def newcomers(self) -> Mapping[str, ByTenant]: ...


def page(measured: Mapping[str, Measured], seed: int, scale: float) -> str:
    """The page, as Markdown."""
    parts = ["# Calibration of scores", _INTRODUCTION, _REPEAT.format(seed=seed, scale=f"{scale:g}")]
    titles = {"real": "Real clients' curves (ServeGen)", "made-up": "Made-up tenants, ten calm days"}
    for name, title in titles.items():
        if name not in measured:
            continue
        tenants = len(measured[name].known[ANY])
        parts += [f"## {title}", f"![How often scores are reached](calibration-{name}.svg)"]
        parts += [f"{tenants} tenants, known for an hour of activity.", _table(measured[name].known)]
    parts += ["## Newcomers", _NEWCOMERS]
    titles["azure"] = "Azure's two services (an hour)"
    parts += [
        f"{titles[name]}:\n\n{_table({key: part.newcomers[key] for key in (ANY, ANY_ABOVE_FLOOR)})}"
        for name, part in measured.items()
        if ANY in part.newcomers
    ]
    return "\n\n".join(parts) + "\n"


def _table(scores: Mapping[str, ByTenant]) -> str:
    head = ["Feature", "Windows", *(f"{level:g}" for level in LEVELS)]
    rows = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    never: list[str] = []
    for code in (code for code in (*(f.code for f in FEATURES), ANY, ANY_ABOVE_FLOOR) if code in scores):
        parts = [np.asarray(part) for part in scores[code].values()]
        if max(map(max, parts)) <= LEVELS[0]:
            never.append(f"`{code}`")
            continue
        name = code if " " in code else f"`{code}`"
        cells = [name, f"{sum(map(len, parts)):,}", *(_cell(parts, level) for level in LEVELS)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, *(["", f"Never beyond {LEVELS[0]:g}: {', '.join(never)}."] if never else [])])


def _cell(parts: Sequence[NDArray[np.float64]], level: float) -> str:
    counts, beyond = np.array([len(part) for part in parts]), np.array([(part > level).sum() for part in parts])
    nominal = 1.0 - level
    if counts.sum() * nominal < _LEAST_EXPECTED:
        return ""
    if not beyond.any():
        return f"0 (< {_short(_NONE / counts.sum() / nominal)})"
    factor = beyond.sum() / counts.sum() / nominal
    drawn = np.random.default_rng(_SEED).integers(len(parts), size=(_RESAMPLES, len(parts)))
    low, high = np.quantile(beyond[drawn].sum(1) / counts[drawn].sum(1) / nominal, (0.025, 0.975))
    return f"{_short(factor)} ({_short(low)}–{_short(high)})"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def reliability_chart(title: str, scores: Mapping[str, ByTenant]) -> str:
    """Share of windows beyond a score against what the score says, both on a log scale; as SVG."""

    def x(share: float) -> float:
        return _LEFT + _WIDTH * (_POWERS[1] - log10(share)) / (_POWERS[1] - _POWERS[0])

    def y(share: float) -> float:
        return _TOP + _HEIGHT * (_POWERS[1] - log10(share)) / (_POWERS[1] - _POWERS[0])

    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + _KEY} {bottom + 50}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for power in range(_POWERS[0], _POWERS[1] + 1):
        at = 10.0**power
        parts.append(f'<path d="M{x(at):.1f} {_TOP}V{bottom}M{_LEFT} {y(at):.1f}H{right}" stroke="#ddd" fill="none"/>')
        label = f"{1 - at:.5g}" if power else "0"
        parts.append(f'<text x="{x(at):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{label}</text>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(at) + 4:.1f}" text-anchor="end" fill="#555">{100 * at:g} %</text>')
    parts.append(f'<path d="M{_LEFT} {_TOP}L{right} {bottom}" stroke="#222" stroke-dasharray="5 4"/>')
    parts.append(f'<text x="{_LEFT + _WIDTH / 2:.0f}" y="{bottom + 40}" text-anchor="middle">{_AXIS}</text>')
    for place, code in enumerate(code for code in _DRAWN if code in scores):
        colour = _COLOURS[place % len(_COLOURS)]
        if points := _curve(np.concatenate([np.asarray(part) for part in scores[code].values()])):
            path = "L".join(f"{x(said):.1f} {y(seen):.1f}" for said, seen in points)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<rect x="{right + 16}" y="{_TOP + 22 * place}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{right + 34}" y="{_TOP + 11 + 22 * place}">{escape(code)}</text>')
    parts.append(
        f'<text x="{right + 16}" y="{_TOP + 16 + 22 * len(_DRAWN)}" fill="#555">dashed: as the score says</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _curve(scores: NDArray[np.float64]) -> list[tuple[float, float]]:
    """What a score says and what was seen, as far as three windows lie beyond."""
    said = np.geomspace(1.0, 10.0 ** _POWERS[0], 41)
    seen = [(float(share), float((scores > 1.0 - share).mean())) for share in said]
    least = max(3.0 / len(scores), 10.0 ** _POWERS[0])
    return [(share, part) for share, part in seen if part >= least]
