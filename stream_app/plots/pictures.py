"""A picture that stands for itself: one decision told in words, its features' series below, as SVG or PNG."""

from collections.abc import Iterable, Sequence
from html import escape
from textwrap import wrap

from msgspec import Struct

from stream_app.plots.palettes import DARK, LIGHT
from stream_app.plots.panels import Frame, Key, Panel, axis, draw
from stream_app.plots.shapes import Area, Line, Shape, Words, to_svg
from stream_app.plots.times import MINUTE_S, Bins, labels
from stream_app.plots.tracks import known_at
from stream_app.quantities import number
from stream_app.stories import track_title

WIDTH = 960
_LEFT, _RIGHT, _PLOT_HEIGHT = 64, 24, 150
#: Words of this size are this wide on average, as a share of it; for keys that stand in a row.
_LETTER = 0.54
#: Letters of a line times their size: what of the page a line may fill, in the widest of usual fonts.
_WRAP_WIDTH, _BOLD_WIDTH = 1_720, 1_480


class Picture(Struct, frozen=True):
    """``title`` and ``told`` stand above the panels, which share their time axis, ``notes`` below."""

    title: str
    told: Sequence[str]
    panels: Sequence[Panel]
    notes: Sequence[str] = ()


class Drawing(Struct, frozen=True):
    """Shapes and the size of the page they are on."""

    width: int
    height: int
    shapes: Sequence[Shape]


def compose(picture: Picture) -> Drawing:
    """Lay a picture out from top to bottom."""
    shapes: list[Shape] = []
    y = write(shapes, picture.title, 34.0, tone="text", size=17, is_bold=True)
    for line in picture.told:
        y = write(shapes, line, y, tone="dim", size=12.5)
    for panel in picture.panels:
        frame = open_panel(shapes, track_title(panel.track.feature), keys(panel), y, _PLOT_HEIGHT)
        _fill(shapes, panel, frame)
        y = frame.bottom + 40
    for note in picture.notes:
        y = write(shapes, note, y + 4, tone="dim", size=12)
    return Drawing(WIDTH, round(y + 6), shapes)


def to_standalone_svg(drawing: Drawing) -> str:
    """A file of its own, light or dark as the reader's surroundings are."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}"'
        f' width="{drawing.width}" height="{drawing.height}" font-family="system-ui, sans-serif">\n'
        f"<style>\n{_style()}</style>\n"
        f'<rect class="page" width="100%" height="100%"/>\n{to_svg(drawing.shapes)}\n</svg>\n'
    )


def _style() -> str:
    names = "".join(f".{tone} {{ --tone: var(--{tone}); }}\n" for tone in LIGHT)
    light = " ".join(f"--{tone}: {colour};" for tone, colour in LIGHT.items())
    dark = " ".join(f"--{tone}: {colour};" for tone, colour in DARK.items())
    return (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{names}"
        "rect, text, .area { fill: var(--tone); }\n"
        ".line, .dot { fill: none; stroke: var(--tone); stroke-width: 1.5; }\n"
        ".grid, .frame { stroke-width: 1; }\n.mark { stroke-width: 2; }\n.dashed { stroke-dasharray: 5 4; }\n"
        ".dot { stroke-width: 9; stroke-linecap: round; }\n"
    )


def write(shapes: list[Shape], text: str, y: float, *, tone: str, size: float, is_bold: bool = False) -> float:
    """Add a paragraph whose first line stands on ``y``; where the next one does."""
    for line in wrap(text, int((_BOLD_WIDTH if is_bold else _WRAP_WIDTH) / size), break_on_hyphens=False):
        shapes.append(Words(tone, 24, y, line, size, is_bold=is_bold))
        y += size * 1.45
    return y


def _fill(shapes: list[Shape], panel: Panel, frame: Frame) -> None:
    shapes += draw(panel, frame)
    for moment in panel.moments:
        if moment.is_told:
            x = frame.left + frame.width * panel.track.bins.place(moment.mark.at_s) / panel.track.bins.count
            shapes.append(Area(moment.mark.action, [(x - 6, frame.top - 8), (x + 6, frame.top - 8), (x, frame.top)]))
    axes(shapes, frame, panel.highest(), panel.track.bins)


def axes(shapes: list[Shape], frame: Frame, top: float, bins: Bins) -> None:
    """Add both axes' labels around a frame whose upper edge is at the value ``top``."""
    for tick, label in axis(top):
        height = frame.bottom - frame.height * tick / top
        shapes.append(Words("dim", frame.left - 8, height + 4, label, 11.5, "end"))
    shapes.append(Line("frame", [(frame.left, frame.bottom), (frame.left + frame.width, frame.bottom)]))
    for share, label in labels(bins):
        x = frame.left + frame.width * share
        shapes.append(Line("frame", [(x, frame.bottom), (x, frame.bottom + 4)]))
        shapes.append(Words("dim", x, frame.bottom + 18, label, 11.5, "middle"))


def open_panel(shapes: list[Shape], title: str, told: Sequence[Key], y: float, height: float) -> Frame:
    """Write a panel's title, and below it what each tone means in as many rows as that takes; the frame below them."""
    left, right, y = float(_LEFT), float(WIDTH - _RIGHT), y + 20
    shapes.append(Words("text", left, y, title, 13, is_bold=True))
    x = left
    y += 18
    for key in told:
        width = 22 + len(key.text) * 11.5 * _LETTER
        if x > left and x + width > right:
            x, y = left, y + 17
        _write_key(shapes, key, x, y)
        x += width + 18
    return Frame(left, y + 12, right - left, height)


def _write_key(shapes: list[Shape], key: Key, x: float, y: float) -> None:
    tone, text, is_area = key
    if is_area:
        shapes.append(Area(tone, [(x, y - 9), (x + 16, y - 9), (x + 16, y), (x, y)]))
    elif tone.startswith("mark"):
        shapes.append(Line(tone, [(x + 8, y - 10), (x + 8, y + 1)]))
    else:
        shapes.append(Line(tone, [(x, y - 4.5), (x + 16, y - 4.5)], is_dashed=tone.startswith(("level", "limit"))))
    shapes.append(Words("dim", x + 22, y, text, 11.5))


def keys(panel: Panel) -> list[Key]:
    """Every tone that a panel uses, and what it means there; levels are those of the strictest decision's time."""
    track, at_s = panel.track, _decisive_s(panel)
    told = [Key("rate", "seen", is_area=True)]
    if track.own:
        told.append(Key("own", "this account alone", is_area=True))
    if any((asked or 0.0) > (served or 0.0) for asked, served in zip(track.asked, track.served, strict=True)):
        told.append(Key("asked", "asked for, with denied"))
    if (usual := track.expected_at(at_s)) is not None:
        told.append(Key("usual", f"usual {number(usual)}"))
    rungs = panel.drawn_rungs()
    if rungs:
        told.append(Key("band", f"up to {rungs[0]}", is_area=True))
    for rung in rungs:
        if (level := known_at(track.levels[rung], track.bins, at_s)) is not None:
            above = f"above {number(level)}" if level < panel.most else "out of reach"
            told.append(Key(f"level {rung}", f"{rung} {above}"))
    if panel.limit is not None:
        told.append(Key("limit", f"limit {number(panel.limit)}"))
    return told


def _decisive_s(panel: Panel) -> float:
    end_s = panel.track.bins.end_min * MINUTE_S
    return next((one.mark.at_s for one in panel.moments if one.mark.action is panel.strictest), end_s)


def html_keys(told: Iterable[Key]) -> str:
    """The same for a page."""
    return "".join(
        f'<span><b class="key {"area " if is_area else ""}{tone}"></b>{escape(text)}</span>'
        for tone, text, is_area in told
    )
