"""A dossier as one page: no scripts, nothing from the network, the document itself at its end."""

from html import escape, unescape
from pathlib import Path
from re import DOTALL, search
from typing import Any

import orjson

from stream_app.dossiers.seals import NoDossierError, parse
from stream_app.dossiers.views import Table, groups, plot_of, seal_lines, tables, title
from stream_app.plots.campaigns import panels_of
from stream_app.reports import pages as report_pages
from stream_app.reports.charts import series_figure

_STYLE = (
    Path(report_pages.__file__).with_name("page.css").read_text() + Path(__file__).with_name("page.css").read_text()
)


def render(sealed: dict[str, Any]) -> str:
    """The same dossier always makes the same page; every text of it is escaped."""
    document = sealed["dossier"]
    parts = [_opening(sealed), *(_section(document, table) for table in tables(document))]
    undone = _listed(document["counterfactual"])
    methods = _listed([*document["methods"], f"Kinds of links: {groups()}."])
    parts.insert(3, _figures(document))
    parts += [
        f"<section><h2>Methods</h2>{methods}<h3>The verdict would fall if</h3>{undone}</section>",
        _notes(document["notes"]),
        f"<section><h2>Document</h2><details><summary>What was hashed and signed</summary>"
        f'<pre id="document">{escape(orjson.dumps(sealed).decode())}</pre></details></section>',
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title(document))}</title>\n<style>\n{_STYLE}</style>\n"
        f"<main>\n{chr(10).join(filter(None, parts))}\n</main>\n</html>\n"
    )


def read_page(text: str) -> dict[str, Any]:
    """The dossier in a page; raises ``NoDossierError``."""
    found = search(r'<pre id="document">(.*?)</pre>', text, DOTALL)
    if found is None:
        raise NoDossierError("a page without a dossier in it")
    return parse(unescape(found[1]).encode())


def _opening(sealed: dict[str, Any]) -> str:
    document = sealed["dossier"]
    first, *others = document["summary"]
    told = "".join(f"<p>{escape(line)}</p>" for line in others)
    seal = "".join(f"<p>{escape(line)}</p>" for line in seal_lines(sealed))
    return (
        f'<header><h1>{escape(title(document))}</h1><p class="verdict">{escape(first)}</p>{told}'
        f'<div class="seal">{seal}</div></header>'
    )


def _section(document: dict[str, Any], table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    name = table.title.split()[0].lower()
    more = _listed(document["said"]) if table.title == "Evidence" else ""
    return (
        f'<section><h2>{escape(table.title)}</h2><p class="caption">{escape(table.told)}</p>'
        f'<table class="{name}"><thead><tr>{head}</tr></thead>{rows}</table>{more}</section>'
    )


def _figures(document: dict[str, Any]) -> str:
    if not document["members"]:
        return ""
    drawn = "".join(map(series_figure, panels_of(plot_of(document))))
    return f"<section><h2>Load, growth and decisions</h2>{drawn}</section>"


def _notes(notes: list[str]) -> str:
    return f"<section><h2>Notes</h2>{_listed(notes)}</section>" if notes else ""


def _listed(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""
