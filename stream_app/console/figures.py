"""Plots as inline SVG for a page that allows no inline style: shapes stretch, words keep their size at any width."""

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from stream_app.plots.panels import Frame, Key, Panel, axis, draw
from stream_app.plots.pictures import html_keys, keys
from stream_app.plots.series import SeriesPanel
from stream_app.plots.shapes import to_svg
from stream_app.plots.times import Bins, labels
from stream_app.stories import track_title

#: Size of a panel before it is stretched: tenths of it are narrower than a pixel.
_FRAME = Frame(0, 0, 1000, 100)


def panel_figure(panel: Panel) -> Markup:
    """One feature's series with its band and its decisions."""
    title = track_title(panel.track.feature)
    return _figure(title, to_svg(draw(panel, _FRAME)), panel.track.bins, panel.highest(), keys(panel))


def series_figure(panel: SeriesPanel) -> Markup:
    """Plain series over time."""
    kind = "tall" if panel.height >= 100 else "low"
    return _figure(panel.title, to_svg(panel.draw(_FRAME)), panel.bins, panel.highest(), panel.keys(), kind)


def bar(parts: Sequence[tuple[str, float]], told: str) -> Markup:
    """A bar whose parts, of these tones, fill these shares of its width; ``told`` is the same in words."""
    drawn, left = "", 0.0
    for tone, share in parts:
        width = min(max(share, 0.0), 1.0 - left)
        drawn += f'<rect class="area {tone}" x="{left:.2%}" width="{width:.2%}" height="100%"/>'
        left += width
    return Markup(f'<svg class="bar" role="img" aria-label="{escape(told)}">{drawn}</svg>')  # noqa: S704


def spread(values: tuple[float, float, float], tone: str, told: str) -> Markup:
    """A range with a dot in between: low, middle and high as shares of the width."""
    x1, x, x2 = (f"{min(max(value, 0.0), 1.0):.2%}" for value in values)
    line = f'<line class="line {tone}" x1="{x1}" x2="{x2}" y1="50%" y2="50%"/>'
    dot = f'<circle class="area {tone}" cx="{x}" cy="50%" r="4.5"/>'
    return Markup(f'<svg class="spread" role="img" aria-label="{escape(told)}">{line}{dot}</svg>')  # noqa: S704


def _figure(title: str, shapes: str, bins: Bins, highest: float, told: Sequence[Key], kind: str = "tall") -> Markup:  # noqa: PLR0917
    marks = axis(highest)
    top = marks[-1][0]
    words = "".join(
        f'<text class="y" x="-6" y="{100 - 100 * tick / top:.4g}%" dy=".32em">{name}</text>' for tick, name in marks
    )
    words += "".join(
        f'<text class="x" x="{share:.2%}" y="100%" dy="1.35em">{name}</text>' for share, name in labels(bins)
    )
    explained = f'<p class="keys">{html_keys(told)}</p>' if told else ""
    stretched = 'class="shapes" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img"'
    drawn = (
        f'<figure><figcaption>{escape(title)}</figcaption>{explained}<div class="plot {kind}">'
        f'<svg {stretched} aria-label="{escape(title)}">{shapes}</svg>'
        f'<svg class="words" aria-hidden="true">{words}</svg></div></figure>'
    )
    return Markup(drawn)  # noqa: S704 - every text in it is escaped where it is made
