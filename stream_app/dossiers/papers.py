"""A dossier on paper: PDF, with the document itself attached."""

from io import BytesIO
from re import DOTALL, search
from typing import Any
from xml.sax.saxutils import escape

import orjson
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfdoc, pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from stream_app.dossiers.seals import OPENING, NoDossierError, parse
from stream_app.dossiers.views import Table, groups, plot_of, seal_lines, tables, title
from stream_app.plots.campaigns import compose_campaign
from stream_app.plots.palettes import LIGHT, tone_of
from stream_app.plots.pictures import Drawing
from stream_app.plots.shapes import Area, Dot, Line, Points, Shape, Words

#: Bitstream Vera comes with reportlab, so that the same dossier is the same paper on every machine.
_FONT, _BOLD = "Vera", "VeraBd"
_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN
#: Share of the width by column; other tables have columns of equal width.
_SHARES = {
    "Timeline": (0.32, 0.68),
    "Evidence": (0.46, 0.14, 0.18, 0.22),
    "Links and their rarity": (0.24, 0.34, 0.13, 0.12, 0.17),
    "Members": (0.2, 0.08, 0.14, 0.16, 0.16, 0.26),
    "Decisions and their effect": (0.75, 0.25),
    "Chain of records": (0.34, 0.33, 0.33),
}
_BODY = ParagraphStyle("body", fontName=_FONT, fontSize=9, leading=13, textColor=LIGHT["text"], spaceAfter=4)
_STYLES = {
    "title": ParagraphStyle("title", _BODY, fontName=_BOLD, fontSize=15, leading=20, spaceAfter=8),
    "lead": ParagraphStyle("lead", _BODY, fontName=_BOLD, fontSize=10.5, leading=15, spaceAfter=6),
    "heading": ParagraphStyle(
        "heading", _BODY, fontName=_BOLD, fontSize=11.5, leading=16, spaceBefore=14, keepWithNext=1
    ),
    "told": ParagraphStyle("told", _BODY, fontSize=8, leading=11, textColor=LIGHT["dim"], keepWithNext=1),
    "cell": ParagraphStyle("cell", _BODY, fontSize=7.2, leading=9.4, spaceAfter=0, splitLongWords=1, wordWrap="CJK"),
    "bullet": ParagraphStyle("bullet", _BODY, leftIndent=10, bulletIndent=0),
    "seal": ParagraphStyle("seal", _BODY, fontSize=8, leading=11.5, leftIndent=8, borderPadding=2, wordWrap="CJK"),
}


def render(sealed: dict[str, Any]) -> bytes:
    """Bytes of a PDF file; the same dossier always makes the same ones."""
    for name in (_FONT, _BOLD):
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    document, file = sealed["dossier"], BytesIO()
    paper = SimpleDocTemplate(
        file,
        pagesize=A4,
        title=title(document),
        author=document["made_by"],
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        invariant=1,
    )

    def attach(canvas: Canvas, _: object) -> None:
        _attach(canvas, orjson.dumps(sealed))
        _foot(canvas, document)

    paper.build(_story(sealed), onFirstPage=attach, onLaterPages=lambda canvas, _: _foot(canvas, document))
    return file.getvalue()


def read_paper(content: bytes) -> dict[str, Any]:
    """The dossier attached to a PDF of ours; raises ``NoDossierError``."""
    found = search(rb"stream\r?\n(" + OPENING + rb".*?)\r?\n?endstream", content, DOTALL)
    if found is None:
        raise NoDossierError("a PDF without a dossier in it")
    return parse(found[1])


def _story(sealed: dict[str, Any]) -> list[Flowable]:
    document = sealed["dossier"]
    lead, *others = document["summary"]
    story: list[Flowable] = [_words(title(document), "title"), _words(lead, "lead")]
    story += [_words(line, "body") for line in others]
    story += [Spacer(1, 6), *(_words(line, "seal") for line in seal_lines(sealed))]
    for place, table in enumerate(tables(document)):
        if place == 1 and document["members"]:
            story += [
                _words("Load, growth and decisions", "heading"),
                _Picture(compose_campaign("", [], plot_of(document))),
            ]
        story += _table(document, table)
    story += [_words("Methods", "heading"), *_bullets([*document["methods"], f"Kinds of links: {groups()}."])]
    story += [_words("The verdict would fall if", "heading"), *_bullets(document["counterfactual"])]
    if document["notes"]:
        story += [_words("Notes", "heading"), *_bullets(document["notes"])]
    return story


def _table(document: dict[str, Any], table: Table) -> list[Flowable]:
    shares = _SHARES.get(table.title, (1 / len(table.columns),) * len(table.columns))
    rows = [[_words(cell, "cell") for cell in row] for row in (table.columns, *table.rows)]
    grid = Grid(rows, [share * _WIDTH for share in shares], repeatRows=1, hAlign="LEFT")
    grid.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, LIGHT["grid"]),
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, LIGHT["frame"]),
            ("BACKGROUND", (0, 0), (-1, 0), "#f4f5f7"),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    more = _bullets(document["said"]) if table.title == "Evidence" else []
    return [_words(table.title, "heading"), _words(table.told, "told"), grid, Spacer(1, 4), *more]


def _bullets(lines: list[str]) -> list[Flowable]:
    return [Paragraph(_text(line), _STYLES["bullet"], bulletText="\u2022") for line in lines]


def _words(text: str, style: str) -> Paragraph:
    return Paragraph(_text(text), _BODY if style == "body" else _STYLES[style])


def _text(text: str) -> str:
    """What the font lacks is written out, never drawn as a box."""
    return escape(text.encode("cp1252", "backslashreplace").decode("cp1252"))


def _attach(canvas: Canvas, content: bytes) -> None:
    """Readers list it as an attachment; it is not compressed, so that any program finds it."""
    inside: Any = canvas._doc
    stream = pdfdoc.PDFStream(pdfdoc.PDFDictionary({"Type": pdfdoc.PDFName("EmbeddedFile")}), content, filters=[])
    name = pdfdoc.PDFString("dossier.json")
    embedded = pdfdoc.PDFDictionary({"F": inside.Reference(stream)})
    spec = pdfdoc.PDFDictionary({"Type": pdfdoc.PDFName("Filespec"), "F": name, "UF": name, "EF": embedded})
    files = pdfdoc.PDFDictionary({"Names": pdfdoc.PDFArray([name, inside.Reference(spec)])})
    inside.Catalog.Names = pdfdoc.PDFDictionary({"EmbeddedFiles": files})


def _foot(canvas: Canvas, document: dict[str, Any]) -> None:
    canvas.saveState()
    canvas.setFont(_FONT, 7)
    canvas.setFillColor(LIGHT["dim"])
    canvas.drawString(_MARGIN, 10 * mm, _text(title(document)))
    canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"page {canvas.getPageNumber()}")
    canvas.restoreState()


class _Picture(Flowable):  # type: ignore[misc]
    """A drawing of ours, as wide as the text."""

    def __init__(self, drawing: Drawing) -> None:
        super().__init__()
        self._drawing = drawing
        self._scale = _WIDTH / drawing.width
        self.width, self.height = _WIDTH, drawing.height * self._scale

    def draw(self) -> None:
        """Called by reportlab; its y rises upwards, ours downwards."""
        self.canv.scale(self._scale, self._scale)
        for shape in self._drawing.shapes:
            self._draw(shape)

    def _draw(self, shape: Shape) -> None:
        canvas, top = self.canv, self._drawing.height
        colour = colors.HexColor(LIGHT[tone_of(shape.tone)])
        match shape:
            case Words(x=x, y=y, text=text, size=size, anchor=anchor, is_bold=is_bold):
                canvas.setFillColor(colour)
                canvas.setFont(_BOLD if is_bold else _FONT, size * 0.92)  # Vera is wider than the fonts it stands for
                write = {"start": canvas.drawString, "middle": canvas.drawCentredString, "end": canvas.drawRightString}
                write[anchor](x, top - y, text.encode("cp1252", "backslashreplace").decode("cp1252"))
            case Area(points=points):
                canvas.setFillColor(colour)
                canvas.drawPath(self._path(points), stroke=0, fill=1)
            case Line(points=points, is_dashed=is_dashed):
                canvas.setStrokeColor(colour)
                canvas.setLineWidth(1.4)
                canvas.setDash([5, 4] if is_dashed else [])
                canvas.drawPath(self._path(points), stroke=1, fill=0)
            case Dot(x=x, y=y):
                canvas.setFillColor(colour)
                canvas.circle(x, top - y, 4.5, stroke=0, fill=1)

    def _path(self, points: Points) -> Any:
        path = self.canv.beginPath()
        for place, (x, y) in enumerate(points):
            (path.lineTo if place else path.moveTo)(x, self._drawing.height - y)
        return path
