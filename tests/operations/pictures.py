"""Draws the dashboards as a page of our own, from a Prometheus that watched a real run (``make pictures``).

Grafana itself is not needed: a panel's queries are asked over the run, and drawn at its place with its unit and limit,
so that one sees whether panels tell what they should. Grafana's own look is another.
"""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import sync_playwright

from stream_app.plots.palettes import LIGHT
from tests.browser.screenshots import write
from tests.operations.stack import Prometheus

#: What Grafana makes of ``$__rate_interval`` at the shipped five seconds between scrapes, four of them, is 20 s; counts
#: of a run of minutes are calmer over a little more.
RATE_INTERVAL = "30s"
STEP_S = 2  # a point for every third pixel of a panel in five minutes
_ROW_PX, _PAGE_PX, _COLUMNS = 25, 1_500, 24
_LINES = ("#3f68b5", "#b85a00", "#2f7d4f", "#7a3fb0", "#b3202c", "#0f8a94", "#8a6a00", "#5b6472", "#d0589b", "#6fa8dc")
_LEGENDS = 8  # as many names as fit below a panel; Grafana's scroll
_FACTORS = {"percentunit": (100.0, "%"), "s": (1.0, " s"), "eps": (1.0, "/s"), "ops": (1.0, "/s"), "reqps": (1.0, "/s")}

Point = tuple[float, float]


class Series(NamedTuple):
    """One line of a panel: its name and its points, times in seconds."""

    name: str
    points: list[Point]


def draw_dashboards(models: Sequence[Mapping[str, Any]], watching: Prometheus, begin_s: float, end_s: float) -> None:
    """Write ``docs/images/NAME.png`` of each."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(viewport={"width": _PAGE_PX, "height": 600})
        for model in models:
            page.set_content(page_of(model, watching, begin_s, end_s))
            write(Image.open(BytesIO(page.screenshot(full_page=True))), f"dashboard-{model['uid'].split('-')[1]}")
        browser.close()


def page_of(model: Mapping[str, Any], watching: Prometheus, begin_s: float, end_s: float) -> str:
    """A dashboard's page."""
    cells = "".join(_cell(panel, watching, begin_s, end_s) for panel in model["panels"])
    minutes = round((end_s - begin_s) / 60)
    heading = f"{escape(model['title'])}<small>{minutes} minutes of a run on two cores</small>"
    return f"<style>{_STYLE}</style><h1>{heading}</h1><main>{cells}</main>"


def _cell(panel: Mapping[str, Any], watching: Prometheus, begin_s: float, end_s: float) -> str:
    at = panel["gridPos"]
    place = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
    title = escape(panel["title"])
    if panel["type"] == "row":
        return f'<h2 style="{place}">{title}</h2>'
    found = [one for target in panel["targets"] for one in _asked(watching, target, begin_s, end_s)]
    if panel["type"] != "stat":
        # a panel's many lines that stay at nothing are named last
        found.sort(key=lambda one: max(value for _, value in one.points) == 0.0)
    defaults = panel["fieldConfig"]["defaults"]
    factor, unit = _FACTORS.get(defaults["unit"], (1.0, ""))
    limit = next((step["value"] for step in defaults["thresholds"]["steps"] if step["color"] == "red"), None)
    width, height = at["w"] * _PAGE_PX // _COLUMNS - 40, at["h"] * _ROW_PX - 86
    if not found:
        inner = "<p>no data</p>"
    elif panel["type"] == "stat":
        inner = "".join(
            f'<p class="stat">{_short(one.points[-1][1] * factor)}{unit}<br><small>{escape(one.name)}</small></p>'
            for one in found
        )
    else:
        inner = _lines(found, (begin_s, end_s), (width, height), (factor, unit), limit) + _legend(found)
    return f'<section style="{place}"><h3>{title}</h3>{inner}</section>'


def _asked(watching: Prometheus, target: Mapping[str, Any], begin_s: float, end_s: float) -> Iterator[Series]:
    query = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
    words = urlencode({"query": query, "start": begin_s, "end": end_s, "step": STEP_S})
    with urlopen(f"{watching.address}/api/v1/query_range?{words}", timeout=20) as answer:  # noqa: S310
        result = json.load(answer)["data"]["result"]
    for one in result:
        name = _named(target["legendFormat"], one["metric"])
        points = [(float(at_s), float(value)) for at_s, value in one["values"]]
        if points := [point for point in points if math.isfinite(point[1])]:
            yield Series(name, points)


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)


def _lines(
    found: Sequence[Series],
    span_s: tuple[float, float],
    size: tuple[int, int],
    scale: tuple[float, str],
    limit: float | None,
) -> str:
    (begin_s, end_s), (width, height), (factor, unit) = span_s, size, scale
    most = max(value for one in found for _, value in one.points) * factor
    top = _round_up(max(most, 1e-9) if most else 1.0)
    left = 58

    def place(at_s: float, value: float) -> str:
        x = left + (at_s - begin_s) / (end_s - begin_s) * (width - left)
        return f"{x:.1f},{height - max(value, 0.0) * factor / top * height:.1f}"

    drawn = []
    for part in (0.0, 0.5, 1.0):
        y = height - part * height
        drawn.append(f'<path class="grid" d="M{left} {y:.1f}H{width}"/>')
        drawn.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(top * part)}{unit}</text>')
    for minute in range(math.ceil(begin_s / 60), math.floor(end_s / 60) + 1):
        x = min(float(place(minute * 60, 0.0).split(",")[0]), width - 14)
        label = time.strftime("%H:%M", time.gmtime(minute * 60))
        drawn.append(f'<text x="{x:.0f}" y="{height + 16}" text-anchor="middle">{label}</text>')
    if limit is not None and limit * factor <= top:
        drawn.append(f'<path class="limit" d="M{place(begin_s, limit)} L{place(end_s, limit)}"/>')
    for number, one in reversed([*enumerate(found)]):
        colour = _LINES[number % len(_LINES)]
        points = " ".join(place(*point) for point in one.points)
        drawn.append(f'<polyline points="{points}" stroke="{colour}"/>')
    return f'<svg width="{width}" height="{height + 20}" style="overflow:visible">{"".join(drawn)}</svg>'


def _legend(found: Sequence[Series]) -> str:
    names = [
        f'<span><b style="background:{_LINES[number % len(_LINES)]}"></b>{escape(one.name)}</span>'
        for number, one in enumerate(found[:_LEGENDS])
    ]
    more = f"<span>and {len(found) - _LEGENDS} more</span>" if len(found) > _LEGENDS else ""
    return f"<footer>{''.join(names)}{more}</footer>"


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


_STYLE = f"""
body {{ margin: 14px; font: 12px system-ui, sans-serif; color: {LIGHT["text"]} }}
h1 {{ font-size: 20px; margin: 2px 4px 10px }}
h2 {{ font-size: 14px; margin: 4px }}
h3 {{ font-size: 12.5px; margin: 0 0 8px; white-space: nowrap; overflow: hidden }}
small {{ color: {LIGHT["dim"]}; font-weight: normal; font-size: 12px; margin-left: 10px }}
main {{ display: grid; grid-template-columns: repeat({_COLUMNS}, 1fr); grid-auto-rows: {_ROW_PX}px; gap: 0 6px }}
section {{ border: 1px solid {LIGHT["frame"]}; border-radius: 4px; padding: 7px 10px; margin: 3px 0 }}
section, footer {{ overflow: hidden }}
svg text {{ font-size: 11px; fill: {LIGHT["dim"]} }} .grid {{ stroke: {LIGHT["grid"]} }}
.limit {{ stroke: {LIGHT["block"]}; stroke-dasharray: 5 4 }} polyline {{ fill: none; stroke-width: 1.5 }}
footer {{ font-size: 11px; margin-top: 2px; white-space: nowrap }} footer span {{ margin-right: 12px }}
footer b {{ display: inline-block; width: 12px; height: 3px; margin: 0 5px 3px 0 }}
.stat {{ font-size: 30px; text-align: center; margin: 14px 0 0; line-height: 1.1 }} .stat small {{ margin: 0 }}
"""
