"""What people said of campaigns, how well that was foreseen, and whom they have yet to look at."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from markupsafe import Markup

from stream_app.console.figures import series_figure
from stream_app.console.rendering import DESK, page_of, render
from stream_app.plots.series import Series, SeriesPanel
from stream_app.plots.times import MINUTE_S, bins_of, epoch_s
from stream_app.reports.feedback import LAST, progress, was_foreseen

#: Campaigns that stand: what a person says of these still matters.
_STANDING = ("confirmed", "candidate")
#: So many that wait for a word are shown, the likeliest first.
_MAX_WAITING = 20


async def feedback(request: web.Request) -> web.Response:
    """How the order in which people are shown campaigns does by their own words."""
    campaigns = request.app[DESK].view.campaigns.headers()
    judged = progress(campaigns)
    waiting = [one for one in campaigns if not one.get("feedback") and one["status"] in _STANDING]
    waiting.sort(key=lambda one: -one.get("priority", 0.5))
    return render(
        request,
        "feedback.html",
        newest=judged[-1] if judged else None,
        confirmed=sum(one["is_confirmed"] for one in judged),
        page=page_of(judged[::-1], request.query),
        last=LAST,
        was_foreseen=was_foreseen,
        figure=_drawn(judged),
        waiting=waiting[:_MAX_WAITING],
        left=max(len(waiting) - _MAX_WAITING, 0),
    )


def _drawn(judged: Sequence[dict[str, Any]]) -> Markup | None:
    """Both shares after each opinion, as stairs; those of a single minute are no line."""
    minutes = [int(epoch_s(one["at"])) // MINUTE_S for one in judged]
    if len(set(minutes)) < 2:
        return None
    bins = bins_of(range(minutes[0], minutes[-1] + 1))
    shares: dict[str, list[float]] = {"precision": [], "foreseen_right": []}
    told, place = judged[0], 0
    for number in range(bins.count):
        end = bins.start_min + (number + 1) * bins.step_min
        while place < len(judged) and minutes[place] < end:
            told, place = judged[place], place + 1
        for name, values in shares.items():
            values.append(100 * (told[name] or 0.0))
    panel = SeriesPanel(
        f"Of the last {LAST} opinions, in percent",
        bins,
        [
            Series("own", "confirmed by people (precision)", shares["precision"]),
            Series("usual", "foreseen rightly", shares["foreseen_right"]),
        ],
        most=100.0,
    )
    return series_figure(panel)
