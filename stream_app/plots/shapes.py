"""What a plot is made of: areas, lines, dots and words in one coordinate system, and how SVG writes them."""

from collections.abc import Iterable, Sequence
from html import escape

from msgspec import Struct

Points = Sequence[tuple[float, float]]


class Area(Struct, frozen=True):
    """A filled polygon; ``tone`` names its colour."""

    tone: str
    points: Points


class Line(Struct, frozen=True):
    """A line through points; ``title`` is shown when one points at it."""

    tone: str
    points: Points
    is_dashed: bool = False
    title: str = ""


class Dot(Struct, frozen=True):
    """One moment and value."""

    tone: str
    x: float
    y: float


class Words(Struct, frozen=True):
    """A line of text whose baseline is at ``y``; ``anchor`` is start, middle or end."""

    tone: str
    x: float
    y: float
    text: str
    size: float = 12
    anchor: str = "start"
    is_bold: bool = False


Shape = Area | Line | Dot | Words


def to_svg(shapes: Iterable[Shape]) -> str:
    """Shapes as SVG elements with their tone as class; every text is escaped."""
    return "".join(_element(shape) for shape in shapes)


def _element(shape: Shape) -> str:
    match shape:
        case Area(tone=tone, points=points):
            return f'<path class="area {tone}" d="{path(points)}Z"/>'
        case Line(tone=tone, points=points, is_dashed=is_dashed, title=title):
            kind = f"line {'dashed ' if is_dashed else ''}{tone}"
            told = f"><title>{escape(title)}</title></path>" if title else "/>"
            return f'<path class="{kind}" d="{path(points)}"{told}'
        case Dot(tone=tone, x=x, y=y):
            # A line of no length with round ends: it stays round in a plot that is stretched.
            return f'<path class="dot {tone}" d="M{_coordinate(x)} {_coordinate(y)}h0"/>'
        case Words(tone=tone, x=x, y=y, text=text, size=size, anchor=anchor, is_bold=is_bold):
            weight = ' font-weight="600"' if is_bold else ""
            return (
                f'<text class="{tone}" x="{_coordinate(x)}" y="{_coordinate(y)}" font-size="{size:g}"'
                f' text-anchor="{anchor}"{weight}>{escape(text)}</text>'
            )


def path(points: Points) -> str:
    """Points as path data, short where a line is level or upright."""
    steps: list[str] = []
    last: tuple[str, str] | None = None
    for x, y in ((_coordinate(x), _coordinate(y)) for x, y in points):
        if last is None:
            steps.append(f"M{x} {y}")
        elif y == last[1]:
            if x != last[0]:
                steps.append(f"H{x}")
        else:
            steps.append(f"V{y}" if x == last[0] else f"L{x} {y}")
        last = x, y
    return "".join(steps)


def _coordinate(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
