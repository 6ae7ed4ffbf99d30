"""Pages from templates: what all of them are given, and how times, numbers and subjects are written."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from stream_app import __version__
from stream_app.console.actions import LIVES, NAMES, role_needed
from stream_app.console.extracts import Extracts
from stream_app.console.guards import FORM_TOKEN, PERSON, SIGN_INS
from stream_app.console.rows import PAGE_ROWS, Row
from stream_app.console.topics import TopicsReader
from stream_app.console.view import View
from stream_app.detection.decisions import Action, split_key
from stream_app.detection.operators import OperatorRecord
from stream_app.detection.policy import Policy
from stream_app.memberships import GROUPS, SCOPES, certainty
from stream_app.quantities import clock, duration, number, printable
from stream_app.settings import Settings

#: A view that is older than this is said to be so.
STALE_S = 15.0
#: The last time that a date can name.
_LAST_MS = 253_402_300_799_000


class Desk(NamedTuple):
    """Everything that pages are made from. ``publish`` writes an operator record and waits for its offset.

    ``seed_policy``, of ``seed_text``, holds until an operator has set one.
    """

    settings: Settings
    view: View
    reader: TopicsReader | None
    extracts: Extracts
    seed_policy: Policy
    publish: Callable[[OperatorRecord], int]
    workers: "Callable[[], list[WorkerHealth]]"
    clock: Callable[[], float] = time.time
    seed_text: str = ""

    @property
    def now_ms(self) -> int:
        """The time by which decisions hold or have ended."""
        return int(self.clock() * 1000)

    @property
    def policy(self) -> Policy:
        """The policy in force: the newest that an operator has set, or the one of the settings."""
        return self.view.policies[-1].policy if self.view.policies else self.seed_policy


class WorkerHealth(NamedTuple):
    """What a worker answered when it was asked last."""

    address: str
    is_ready: bool
    told: str


DESK: web.AppKey[Desk] = web.AppKey("desk", Desk)


class Page(NamedTuple):
    """Part of a longer list: ``number`` counts from 1."""

    rows: list[Any]
    number: int
    total: int

    @property
    def first(self) -> int:
        """Place of the first row, from 1; 0 when there is none."""
        return (self.number - 1) * PAGE_ROWS + 1 if self.total else 0

    @property
    def last(self) -> int:
        """Place of the last row."""
        return min(self.number * PAGE_ROWS, self.total)

    @property
    def pages(self) -> int:
        """How many there are, at least one."""
        return max(1, -(-self.total // PAGE_ROWS))


def page_of(rows: list[Any], query: Mapping[str, str]) -> Page:
    """The page that a query asks for, or the nearest there is."""
    asked = query.get("page", "1")
    pages = max(1, -(-len(rows) // PAGE_ROWS))
    chosen = min(max(int(asked), 1), pages) if asked.isdecimal() and len(asked) < 10 else 1
    return Page(rows[(chosen - 1) * PAGE_ROWS : chosen * PAGE_ROWS], chosen, len(rows))


def render(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page as an answer."""
    return web.Response(
        text=_environment.get_template(template).render(_given(request) | values),
        status=status,
        content_type="text/html",
    )


def _given(request: web.Request) -> dict[str, Any]:
    desk = request.app[DESK]
    person = request.get(PERSON)
    age_s = desk.reader.age_s() if desk.reader else 0.0
    return {
        "person": person,
        "form_token": request.app[SIGN_INS].form_token(person) if person else "",
        "form_field": FORM_TOKEN,
        "may": lambda kind: person is not None and person.role.covers(role_needed(kind)),
        "path": request.path,
        "here": request.path_qs,
        "policy": desk.policy,
        "is_enforced": desk.view.is_enforced(),
        "problem": desk.reader.problem if desk.reader else "",
        "is_loading": age_s is None,
        "is_stale": age_s is not None and age_s > STALE_S,
        "age_s": age_s or 0.0,
        "records_read": desk.reader.records_read if desk.reader else 0,
        "recorded": request.query.get("recorded", ""),
        "now_ms": desk.now_ms,
        "newest_of": desk.view.newest_of,
        "view_version": desk.view.version,
    }


@pass_context
def _when(context: Context, at_ms: int) -> str:
    """A time of today by the clock, of another day with its date; UTC."""
    at, now = _at(at_ms), _at(context["now_ms"])
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%-d %b %H:%M")


def _iso(at_ms: int) -> str:
    return _at(at_ms).isoformat(timespec="seconds")


def _at(at_ms: int) -> datetime:
    return datetime.fromtimestamp(min(max(at_ms, 0), _LAST_MS) / 1000, UTC)


def _ms(time_text: str | datetime) -> int:
    at = datetime.fromisoformat(time_text) if isinstance(time_text, str) else time_text
    return round(at.timestamp() * 1000)


def _subject(key: str) -> str:
    scope, parts = split_key(key)
    name = " / ".join(reversed(parts)) if scope == "account" else "/".join(parts)
    return printable(name)


def _tenant_of(key: str) -> str:
    return split_key(key)[1][0]


def _scope(key: str) -> str:
    scope = key.partition(":")[0]
    return SCOPES.get(scope, scope)


@pass_context
def _left(context: Context, until_ms: int) -> str:
    left_s = (until_ms - context["now_ms"]) / 1000
    return duration(left_s) if left_s > 0 else "over"


@pass_context
def _ends(context: Context, row: Row) -> str:
    """Until when a decision holds; one that a newer one about its subject has replaced holds no more."""
    newest = context["newest_of"](row.key)
    if newest is not None and newest.revision > row.revision:
        return "replaced"
    return "ended" if row.expires_ms <= context["now_ms"] else f"in {_left(context, row.expires_ms)}"


def _link(path: str, **query: Any) -> str:
    return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"


_environment = Environment(
    loader=PackageLoader("stream_app.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "when": _when,
    "iso": _iso,
    "ms": _ms,
    "subject": _subject,
    "scope_name": _scope,
    "tenant_of": _tenant_of,
    "left": _left,
    "ends": _ends,
    "clock": clock,
    "number": number,
    "duration": duration,
    "certainty": certainty,
    "printable": printable,
}
_environment.globals |= {
    "link": _link,
    "version": __version__,
    "actions": [str(action) for action in reversed(Action)],
    "groups": GROUPS,
    "lives": LIVES,
    "names": NAMES,
}
