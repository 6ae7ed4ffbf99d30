"""Drawings as PNG."""

from io import BytesIO
from itertools import pairwise
from math import hypot

from PIL import Image, ImageDraw, ImageFont

from stream_app.plots.palettes import LIGHT, tone_of
from stream_app.plots.pictures import Drawing
from stream_app.plots.shapes import Area, Dot, Line, Points, Shape, Words

#: Pixels per unit of the drawing: sharp on today's screens. Shapes are drawn this much larger again, for soft edges.
_SCALE, _SOFT = 2, 2
_DASH, _GAP = 5.0, 4.0
#: Where they exist; Pillow's own font, which knows ASCII only, is there always.
_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial Unicode.ttf", "Helvetica.ttc")

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def to_png(drawing: Drawing) -> bytes:
    """Bytes of a PNG file, twice as many pixels wide as the drawing's units."""
    size = drawing.width * _SCALE, drawing.height * _SCALE
    image = Image.new("RGB", (size[0] * _SOFT, size[1] * _SOFT), LIGHT["page"])
    brush = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        _draw(brush, shape, _SCALE * _SOFT)
    image = image.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        if isinstance(shape, Words):
            _write(pen, shape)
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw(brush: ImageDraw.ImageDraw, shape: Shape, scale: float) -> None:
    match shape:
        case Area(tone=tone, points=points):
            brush.polygon([(x * scale, y * scale) for x, y in points], LIGHT[tone_of(tone)])
        case Line(tone=tone, points=points, is_dashed=is_dashed):
            width = round((2.0 if tone.startswith("mark") else 1.0 if tone in {"grid", "frame"} else 1.5) * scale)
            for run in _dashes(points) if is_dashed else [points]:
                brush.line([(x * scale, y * scale) for x, y in run], LIGHT[tone_of(tone)], width)
        case Dot(tone=tone, x=x, y=y):
            brush.circle((x * scale, y * scale), 4.5 * scale, LIGHT[tone])
        case Words():
            pass


def _dashes(points: Points) -> list[Points]:
    """A line cut into dashes, corner by corner; the pattern goes on behind a corner."""
    dashes: list[Points] = []
    phase = 0.0
    for (x, y), (to_x, to_y) in pairwise(points):
        length = hypot(to_x - x, to_y - y)
        at = 0.0
        while at < length:
            left = _DASH - phase if phase < _DASH else _DASH + _GAP - phase
            end = min(at + max(left, 0.01), length)  # never so little that it would not move
            if phase < _DASH:
                dashes.append(
                    [(x + (to_x - x) * share, y + (to_y - y) * share) for share in (at / length, end / length)]
                )
            phase = (phase + end - at) % (_DASH + _GAP)
            at = end
    return dashes


def _write(pen: ImageDraw.ImageDraw, words: Words) -> None:
    font, text = _font(words.size * _SCALE, words.text)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[words.anchor]
    place, colour = (words.x * _SCALE, words.y * _SCALE), LIGHT[words.tone]
    pen.text(place, text, colour, font, anchor, stroke_width=0.5 if words.is_bold else 0)


def _font(size: float, text: str) -> tuple[_Font, str]:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size), text
        except OSError:
            continue
    plain = text.replace("▼", "arrow").encode("ascii", "backslashreplace").decode()
    return ImageFont.load_default(size), plain
