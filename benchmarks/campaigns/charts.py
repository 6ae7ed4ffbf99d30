"""Curves of shares as SVG: one line a name, any positive x on a logarithmic or straight axis."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

_COLOURS = ("#0b6e4f", "#7cc4a4", "#4a7fb5", "#a9c5e0", "#b5804a", "#e0c5a9", "#8a4ab5", "#b54a5e", "#777777")
_LEFT, _TOP, _WIDTH, _HEIGHT, _KEY = 60, 20, 460, 240, 250

Points = Sequence[tuple[float, float]]


def chart(title: str, lines: Mapping[str, Points], *, is_log: bool = True) -> str:
    """Lines of (x, share); every x that occurs is a tick."""
    ticks = sorted({x for points in lines.values() for x, _ in points}) or [1.0]
    scaled = [log10(tick) if is_log else tick for tick in ticks]
    low, span = scaled[0], (scaled[-1] - scaled[0]) or 1.0

    def x(value: float) -> float:
        return _LEFT + _WIDTH * ((log10(value) if is_log else value) - low) / span

    def y(share: float) -> float:
        return _TOP + _HEIGHT * (1 - share)

    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    height = max(bottom + 50, _TOP + 22 * len(lines) + 10)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + _KEY} {height}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for tick in ticks:
        parts.append(f'<path d="M{x(tick):.1f} {_TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{tick:,g}</text>')
    for percent in range(0, 101, 25):
        at = y(percent / 100)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#555">{percent} %</text>')
    parts.append(f'<text x="{_LEFT + _WIDTH / 2:.0f}" y="{bottom + 40}" text-anchor="middle">{escape(title)}</text>')
    for place, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        path = "L".join(f"{x(at):.1f} {y(share):.1f}" for at, share in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(at):.1f}" cy="{y(share):.1f}" r="3.5" fill="{colour}"/>' for at, share in points]
        parts.append(f'<rect x="{right + 16}" y="{_TOP + 22 * place}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{right + 34}" y="{_TOP + 11 + 22 * place}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
