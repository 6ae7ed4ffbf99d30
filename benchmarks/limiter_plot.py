"""A picture of what ``limiter_http`` and ``enforcement`` measured.

``python -m benchmarks.limiter_plot HTTP.json ENFORCEMENT.json OUT.svg``
"""

import argparse
from html import escape
from pathlib import Path
from statistics import median, quantiles

import orjson

LEFT, WIDTH, ROW = 190, 520, 24
TARGET_MS = 5.0
COLOURS = ("#2a6f97", "#8ab6d6", "#c9d6df")


class Panel:
    """Rows of bars, the longest quantile palest and below; milliseconds on one linear scale."""

    def __init__(self, title: str, names: tuple[str, str, str], rows: dict[str, list[float]]) -> None:
        self.title = f"{title}: {', '.join(names)}, ms"
        self.rows = rows
        self.top_ms = max(max(found) for found in rows.values()) * 1.08

    def draw(self, y: float, target_ms: float | None = None) -> tuple[list[str], float]:
        parts = [f'<text x="8" y="{y + 14}" font-weight="bold">{escape(self.title)}</text>']
        begin, y = y + 24, y + 24
        for name, found in self.rows.items():
            parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
            for value, colour in reversed(list(zip(found, COLOURS, strict=True))):
                width = value / self.top_ms * WIDTH
                parts.append(f'<rect x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="14" fill="{colour}"/>')
            told = " / ".join(f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in found)
            parts.append(f'<text x="{LEFT + found[-1] / self.top_ms * WIDTH + 6:.1f}" y="{y + 14}">{told}</text>')
            y += ROW
        if target_ms is not None and target_ms < self.top_ms:
            x = LEFT + target_ms / self.top_ms * WIDTH
            parts.append(f'<path d="M{x:.1f} {begin}V{y}" stroke="#b23a48" stroke-dasharray="4 3"/>')
            parts.append(f'<text x="{x + 4:.1f}" y="{y + 10}" fill="#b23a48">{target_ms:.0f} ms</text>')
        return parts, y + 18


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limiter_plot", description=__doc__)
    for name in ("http", "enforcement", "out"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    http, enforcement = (orjson.loads(path.read_bytes()) for path in (args.http, args.enforcement))
    keys = ("p50_ms", "p99_ms", "p999_ms")
    asked = {name: [median(one[key] for one in rounds) for key in keys] for name, rounds in http["rounds"].items()}
    obeyed = {
        f"{name}, {what}": [1000 * one for one in (*quantiles(found[what], n=20)[9::9], max(found[what]))]
        for name, found in enforcement.items()
        for what in ("denied", "allowed")
    }
    first = Panel(f"{http['rate']:,} questions a second", ("p50", "p99", "p99.9"), asked)
    first.top_ms = max(first.top_ms, TARGET_MS * 1.2)
    shapes, y = first.draw(8, TARGET_MS)
    more, y = Panel("from acknowledged to obeyed", ("p50", "p95", "worst"), obeyed).draw(y + 12)
    size = f'width="{LEFT + WIDTH + 130}" height="{y:.0f}" viewBox="0 0 {LEFT + WIDTH + 130} {y:.0f}"'
    style = 'font-family="system-ui, sans-serif" font-size="12"'
    body = "\n".join(["<rect width='100%' height='100%' fill='#fff'/>", *shapes, *more])
    args.out.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n')


if __name__ == "__main__":
    main()
