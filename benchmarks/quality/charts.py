"""Two charts as SVG: how late decisions are, and what sensitivity costs in false alarms."""

from collections.abc import Sequence
from html import escape
from math import inf, log10

from benchmarks.quality.comparison import Standing
from benchmarks.quality.measures import Outcome

_COLOURS = ("#0b6e4f", "#7cc4a4", "#4a7fb5", "#b5804a", "#8a4ab5", "#b54a5e", "#777777")
_LEFT, _TOP, _WIDTH, _HEIGHT, _KEY = 60, 20, 460, 240, 230


def delay_chart(outcomes: Sequence[Outcome]) -> str:
    """Cumulative share of anomalies decided about, by seconds after the tenth excess request (from .1 s to 10 d)."""
    delays: dict[str, list[float]] = {}
    for outcome in outcomes:
        for found in outcome.found:
            name = found.family.partition(" ")[0] if found.family[:1].isdigit() else outcome.scenario
            delays.setdefault(name, []).append(found.tenth_s)
    lines = []
    for name, times in delays.items():
        known = sorted(max(0.1, at) for at in times if at < inf)
        points = [(0.1, 0.0)]
        for count, at in enumerate(known, 1):
            points += [(at, points[-1][1]), (at, count / len(times))]
        lines.append((name, [*points, (1e6, points[-1][1])]))
    ticks = [
        (0.1, "0.1 s"),
        (1, "1 s"),
        (10, "10 s"),
        (60, "1 min"),
        (600, "10 min"),
        (3_600, "1 h"),
        (86_400, "1 d"),
        (864_000, "10 d"),
    ]
    return _chart("Delay after the tenth excess request", lines, ticks, (-1, 6))


def recall_chart(standings: Sequence[Standing]) -> str:
    """Share of all anomalies found against false alarms per 1,000 tenant-days (from .1 to 1,000)."""
    lines = [
        (standing.name, [(max(0.1, point.false_per_1000), point.recall) for point in standing.curve])
        for standing in standings
    ]
    ticks = [(10.0**power, f"{10.0**power:g}") for power in range(-1, 4)]
    return _chart("False alarms per 1,000 tenant-days", lines, ticks, (-1, 3))


def _chart(
    title: str,
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    ticks: Sequence[tuple[float, str]],
    powers: tuple[int, int],
) -> str:
    def x(value: float) -> float:
        return _LEFT + _WIDTH * (min(max(log10(value), powers[0]), powers[1]) - powers[0]) / (powers[1] - powers[0])

    def y(share: float) -> float:
        return _TOP + _HEIGHT * (1 - share)

    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + _KEY} {bottom + 50}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for value, label in ticks:
        parts.append(f'<path d="M{x(value):.1f} {_TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(value):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{label}</text>')
    for percent in range(0, 101, 25):
        parts.append(f'<path d="M{_LEFT} {y(percent / 100):.1f}H{right}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y(percent / 100) + 4:.1f}" text-anchor="end" fill="#555">{percent} %</text>'
        )
    parts.append(f'<text x="{_LEFT + _WIDTH / 2:.0f}" y="{bottom + 40}" text-anchor="middle">{escape(title)}</text>')
    for place, (name, points) in enumerate(lines):
        colour = _COLOURS[place % len(_COLOURS)]
        path = "L".join(f"{x(at):.1f} {y(share):.1f}" for at, share in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) == 1:
            parts.append(f'<circle cx="{x(points[0][0]):.1f}" cy="{y(points[0][1]):.1f}" r="5" fill="{colour}"/>')
        parts.append(f'<rect x="{right + 16}" y="{_TOP + 22 * place}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{right + 34}" y="{_TOP + 11 + 22 * place}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
