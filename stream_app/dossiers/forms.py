"""How each form of a dossier is made from a sealed one."""

from collections.abc import Callable
from typing import Any

import orjson

from stream_app.dossiers import pages, papers

#: By the ending of the file.
FORMS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "json": orjson.dumps,
    "html": lambda sealed: pages.render(sealed).encode(),
    "pdf": papers.render,
}
