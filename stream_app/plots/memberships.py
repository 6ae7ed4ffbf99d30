"""The picture of a decision on a campaign's member: what ties it to the others, and that it looks ordinary alone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import add

from stream_app.detection.decisions import Decision
from stream_app.detection.decode import Rejected, decode_record
from stream_app.memberships import group_name, look_further, weight
from stream_app.plots.explanations import NothingRecordedError, Recorded
from stream_app.plots.pictures import WIDTH, Drawing, axes, open_panel, write
from stream_app.plots.series import Instant, Series, SeriesPanel
from stream_app.plots.shapes import Area, Shape, Words
from stream_app.plots.times import MINUTE_S, Bins, bins_of, epoch_s
from stream_app.quantities import clock, duration
from stream_app.stories import headline, otherwise

#: Context of the decision: a light user's requests are some a day.
_BEFORE_MIN, _AFTER_MIN = 3 * 1_440, 360
_LEFT, _PLOT_HEIGHT = 64, 130
_ROW, _BAR_LEFT, _BAR_WIDTH = 22, 310, 200
#: Nats that fill a bar: what all links of one group may weigh at most.
_MOST_NATS = 9.0


def compose_member(decision: Decision, of_subject: Sequence[Decision], recorded: Recorded) -> Drawing:
    """Lay the picture out from top to bottom; raises ``NothingRecordedError``.

    ``of_subject`` are the subject's decisions in order, this one among them.
    """
    minutes = _minutes(decision.tenant_id, recorded.values)
    bins = _bins(decision, minutes)
    shapes: list[Shape] = []
    y = write(shapes, headline(decision), 34.0, tone="text", size=17, is_bold=True)
    life = f"Decided at {clock(decision.issued_at)}, until {clock(decision.expires_at)}, by the {decision.origin}"
    y = write(shapes, f"{life}. Id {decision.decision_id}.", y, tone="dim", size=12.5)
    y = write(shapes, f"Otherwise: {otherwise(decision)}.", y, tone="dim", size=12.5)
    y = _evidence(shapes, decision, y)
    panel = _requests(decision, of_subject, minutes, bins)
    frame = open_panel(shapes, panel.title, panel.keys(), y, _PLOT_HEIGHT)
    shapes += panel.draw(frame)
    axes(shapes, frame, panel.highest(), bins)
    y = frame.bottom + 40
    y = write(shapes, f"Alone it may look like anybody. Campaign {look_further(decision)}.", y + 4, tone="dim", size=12)
    y = write(shapes, f"Requests of {recorded.place}.", y + 4, tone="dim", size=12)
    return Drawing(WIDTH, round(y + 6), shapes)


def _minutes(tenant_id: str, values: Iterable[bytes]) -> Counter[int]:
    minutes: Counter[int] = Counter()
    for value in values:
        for item in decode_record(value, {}):
            if not isinstance(item, Rejected) and item.tenant_id == tenant_id:
                minutes[int(item.time.timestamp()) // MINUTE_S] += 1
    return minutes


def _bins(decision: Decision, minutes: Counter[int]) -> Bins:
    at = int(epoch_s(decision.issued_at)) // MINUTE_S
    near = [minute for minute in minutes if at - _BEFORE_MIN <= minute <= at + _AFTER_MIN]
    if not near:
        raise NothingRecordedError(f"no event of {decision.tenant_id!r} around {clock(decision.issued_at)} is there")
    margin = max((max(near) - min(near)) // 20, 30)
    return bins_of(range(min(*near, at) - margin, max(*near, at) + margin))


def _requests(decision: Decision, of_subject: Sequence[Decision], minutes: Counter[int], bins: Bins) -> SeriesPanel:
    """Its own requests, and the moments at which what was decided on it changed."""
    instants, last = [], None
    for one in of_subject:
        is_told = one.decision_id == decision.decision_id
        if is_told or one.action is not last:
            instants.append(Instant(one.action.value, f"this decision: {one.action}" if is_told else "", _at_s(one)))
        last = one.action
    series = Series("rate", "of this tenant", bins.gather(minutes, add), is_area=True)
    return SeriesPanel(f"Requests in {duration(bins.step_min * MINUTE_S)}", bins, [series], instants)


def _at_s(decision: Decision) -> float:
    return epoch_s(decision.issued_at)


def _evidence(shapes: list[Shape], decision: Decision, y: float) -> float:
    """A bar for each group of links that it shares with the campaign."""
    shapes.append(Words("text", _LEFT, y + 20, "What it shares with the campaign", 13, is_bold=True))
    y += 34
    for reason in decision.reasons:
        shapes.append(Words("text", _LEFT, y + 12, group_name(reason), 12))
        width = _BAR_WIDTH * min(max(reason.observed / _MOST_NATS, 0.0), 1.0)
        left = _BAR_LEFT
        shapes.append(Area("own", [(left, y + 2), (left + width, y + 2), (left + width, y + 15), (left, y + 15)]))
        shapes.append(Words("dim", left + _BAR_WIDTH + 12, y + 12, weight(reason), 12))
        y += _ROW
    return y + 10
