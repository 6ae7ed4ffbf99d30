"""Small plots as inline SVG: they stretch to any width, so their labels are HTML beside them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from operator import add

from stream_app.detection.decisions import Action
from stream_app.plots.panels import Frame, Panel, axis, draw
from stream_app.plots.pictures import html_keys, keys
from stream_app.plots.series import SeriesPanel
from stream_app.plots.shapes import to_svg
from stream_app.plots.times import Bins, bins_of, labels
from stream_app.stories import track_title

_HEIGHT = 100
#: Width of a panel before it is stretched: tenths of it are narrower than a pixel.
_PANEL = Frame(0, 0, 1000, _HEIGHT)


def stream_chart(total: Mapping[int, int], decided: Mapping[int, Counter[Action]], minutes: range) -> str:
    """Requests a minute of the whole stream, and below them the decisions by action."""
    bins = bins_of(minutes)
    rates = [count / bins.step_min for count in bins.gather(total, add)]
    mean = "" if bins.step_min == 1 else f", mean of {_slice(bins)}"
    marks = axis(max(*rates, 1.0))
    area = f'<path class="area rate" d="{_bars(rates, marks[-1][0])}"/>'
    traffic = _chart(f"Requests a minute{mean}", _stretched(bins.count, "requests a minute", area), bins, marks, "tall")
    return traffic + decisions_chart("Decisions", decided, bins)


def decisions_chart(title: str, decided: Mapping[int, Counter[Action]], bins: Bins) -> str:
    """Decisions by action in each slice; nothing when there are none."""
    counts = {
        action: bins.gather({minute: by_action[action] for minute, by_action in decided.items()}, add)
        for action in Action
    }
    stacked = [list(accumulate(column)) for column in zip(*(counts[action] for action in Action), strict=True)]
    most = max(column[-1] for column in stacked)
    layers = "".join(
        f'<path class="area {action}" d="{_bars([column[place] for column in stacked], most)}"/>'
        for place, action in reversed(list(enumerate(Action)))
        if any(counts[action])
    )
    drawn = _stretched(bins.count, "decisions", layers)
    marks = [(0.0, "0"), (float(most), f"{most:,}")]
    return _chart(f"{title} in {_slice(bins)}", drawn, bins, marks, "flat") if most else ""


def bar_chart(title: str, values: Sequence[float], bins: Bins, most: float) -> str:
    """One bar a slice, on an axis that reaches ``most``, so that several charts can be compared."""
    marks = axis(max(most, 1.0))
    area = f'<path class="area rate" d="{_bars(values, marks[-1][0])}"/>'
    return _chart(title, _stretched(bins.count, title, area), bins, marks, "low")


def figure(panel: Panel) -> str:
    """One feature's series with its band, its decisions and both axes; it stretches, its labels do not."""
    title = track_title(panel.track.feature)
    drawn = _stretched(_PANEL.width, title, to_svg(draw(panel, _PANEL)))
    return _chart(title, drawn, panel.track.bins, axis(panel.highest()), keys=html_keys(keys(panel)))


def series_figure(panel: SeriesPanel) -> str:
    """The same for a campaign's series."""
    drawn = _stretched(_PANEL.width, panel.title, to_svg(panel.draw(_PANEL)))
    kind = "" if panel.height >= _HEIGHT else "low"
    return _chart(panel.title, drawn, panel.bins, axis(panel.highest()), kind, keys=html_keys(panel.keys()))


def _chart(
    title: str, drawn: str, bins: Bins, marks: Sequence[tuple[float, str]], kind: str = "", *, keys: str = ""
) -> str:
    """A drawing with its title and the labels of both axes; the last of ``marks`` is its upper edge."""
    top = marks[-1][0]
    upright = "".join(
        f'<span class="y" style="top:{100 - 100 * tick / top:.4g}%">{told}</span>' for tick, told in marks
    )
    level = "".join(f'<span class="x" style="left:{share:.2%}">{told}</span>' for share, told in labels(bins))
    explained = f'<p class="keys">{keys}</p>' if keys else ""
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>{explained}"
        f'<div class="plot {kind}">{drawn}{upright}{level}</div></figure>'
    )


def _stretched(width: float, label: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {_HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}">{content}</svg>'
    )


def _bars(values: Sequence[float], top: float) -> str:
    return "".join(f"M{x} {_HEIGHT}V{_y(value, top)}H{x + 1}V{_HEIGHT}" for x, value in enumerate(values) if value)


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT * (1 - value / top):.1f}"


def _slice(bins: Bins) -> str:
    return "a minute" if bins.step_min == 1 else f"{bins.step_min:,} minutes"
