"""The pages that are not about one thing: overview, policy, audit."""

import time
from collections import Counter
from collections.abc import Iterable
from heapq import nlargest
from typing import Any

from aiohttp import web

from stream_app.console.actions import can_undo
from stream_app.console.figures import series_figure
from stream_app.console.rendering import DESK, Desk, page_of, render
from stream_app.console.rows import Row, actions_of
from stream_app.console.view import counted
from stream_app.detection.decisions import Action
from stream_app.plots.campaigns import decided_series
from stream_app.plots.series import SeriesPanel
from stream_app.plots.times import MINUTE_S, bins_of
from stream_app.quantities import duration

#: How far back the overview's plot reaches: a shift.
_PLOTTED_MIN = 8 * 60
_NEWEST = 12
#: How long a decision that has ended may still be counted.
_SUMMARY_MS = 5_000
#: Putting a full view together takes a fifth of a core at most, however often it changes; a small one is always new.
_LEAST_S, _MOST_SHARE = 0.05, 0.2


class Summary:
    """What the overview shows, put together once for everybody who looks: a full view takes a third of a second."""

    def __init__(self) -> None:
        self._version = -1
        self._at_ms = 0
        self._rests_until_s = 0.0
        self._values: dict[str, Any] = {}

    def of(self, desk: Desk) -> dict[str, Any]:
        """The template's values, anew after a change, and after a while in which decisions may have ended.

        ``view_version`` is the one they are of: a page that shows an older one is told of the change.
        """
        is_changed = desk.view.version != self._version and time.monotonic() >= self._rests_until_s
        if is_changed or desk.now_ms - self._at_ms >= _SUMMARY_MS:
            begun_s = time.thread_time()  # what others do meanwhile is not ours
            self._version, self._at_ms = desk.view.version, desk.now_ms
            self._values = _summary(desk) | {"view_version": self._version}
            taken_s = time.thread_time() - begun_s
            self._rests_until_s = time.monotonic() + (taken_s / _MOST_SHARE if taken_s > _LEAST_S else 0.0)
        return self._values


SUMMARY: web.AppKey[Summary] = web.AppKey("summary", Summary)


async def overview(request: web.Request) -> web.Response:
    """What holds now, which campaigns there are, and what was decided last."""
    desk = request.app[DESK]
    return render(request, "overview.html", **request.app[SUMMARY].of(desk), workers=desk.workers())


def _summary(desk: Desk) -> dict[str, Any]:
    now = desk.now_ms
    held = desk.view.in_force(now)
    return {
        "held": counted(held),
        "denied": sum(row.action.severity >= Action.THROTTLE.severity and not row.is_simulated for row in held),
        "would_deny": sum(row.action.severity >= Action.THROTTLE.severity and row.is_simulated for row in held),
        "campaigns": campaign_lines(desk, held),
        "newest": nlargest(_NEWEST, filter(_is_told, desk.view.log), key=lambda row: (row.issued_ms, row.revision)),
        "figure": _decided(desk.view.log, now),
        "budget": desk.view.budget(now),
    }


def _is_told(row: Row) -> bool:
    """Whether the overview names a decision: not that somebody is back to usual, of which there is one for each."""
    return row.action is not Action.ALLOW or row.origin != "detector"


def campaign_lines(desk: Desk, held: list[Row]) -> list[dict[str, Any]]:
    """Every campaign that stands, with how many subjects are held for it now."""
    acted: Counter[str] = Counter(row.campaign_id for row in held if row.action.severity >= Action.THROTTLE.severity)
    return [
        one | {"held": sum(acted[name] for name in (one["campaign_id"], *one.get("aliases", ())))}
        for one in desk.view.campaigns.headers()
    ]


def _decided(rows: Iterable[Row], now: int) -> Any:
    since_ms = now - _PLOTTED_MIN * 60_000
    actions = actions_of(row for row in rows if row.issued_ms >= since_ms)
    if not actions.decided:
        return None
    last = now // 60_000 + 1
    bins = bins_of(range(max(min(actions.decided) - 10, last - _PLOTTED_MIN), last))
    title = f"Decisions in {duration(bins.step_min * MINUTE_S)}, renewals among them"
    return series_figure(SeriesPanel(title, bins, decided_series(actions, bins), height=70))


async def policy_page(request: web.Request) -> web.Response:
    """The policy in force, those before it, and the switch for enforcement."""
    desk = request.app[DESK]
    shown = next((one for one in desk.view.policies if one.record.id == request.query.get("id")), None)
    return render(
        request,
        "policy.html",
        shown=shown.policy if shown else desk.policy,
        is_old=shown is not None and shown.policy is not desk.policy,
        text=(shown.record.body or {}).get("yaml", "") if shown else _text_in_force(desk),
        history=list(reversed(desk.view.policies)),
        broker=desk.settings.broker,
        switches=[word for word in reversed(desk.view.words) if word.record.type == "enforcement"][:20],
    )


def _text_in_force(desk: Desk) -> str:
    return str((desk.view.policies[-1].record.body or {}).get("yaml", "")) if desk.view.policies else ""


async def audit(request: web.Request) -> web.Response:
    """Every word of an operator, newest first, with what took it back."""
    desk = request.app[DESK]
    view = desk.view
    text = request.query.get("text", "").strip().lower()
    words = [
        word
        for word in reversed(view.words)
        if text in f"{word.record.type} {word.record.subject or ''} {word.record.by} {word.record.reason}".lower()
    ]
    undone = view.undone()
    page = page_of(words, request.query)
    undoable = {word.record.id for word in page.rows if can_undo(word, view, undone, desk.now_ms)}
    return render(request, "audit.html", page=page, undone=undone, undoable=undoable, text=text)
