"""Small plots as inline SVG: they stretch to any width, so their labels are HTML beside them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import accumulate
from operator import add

from msgspec import Struct

from stream_app.detection.decisions import Action
from stream_app.reports.histories import MINUTE_S, Mark

#: More would be thinner than a pixel on a phone.
MAX_BINS = 180
_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1_440)
_HEIGHT = 100
#: The first and last seconds that a date can name, the years 1 and 9999.
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
#: Context of a subject's timeline around its decisions.
_BEFORE_MIN, _AFTER_MIN = 60, 30


class Bins(Struct, frozen=True):
    """Equal slices of event time, the first of which begins ``start_min`` minutes after 1970."""

    start_min: int
    step_min: int
    count: int

    @property
    def end_min(self) -> int:
        """The minute after the last slice."""
        return self.start_min + self.step_min * self.count

    def place(self, at_s: float) -> float:
        """Position of a time on the x axis, in slices."""
        return (at_s / MINUTE_S - self.start_min) / self.step_min

    def gather(self, minutes: Mapping[int, int], by: Callable[[int, int], int]) -> list[int]:
        """Counts of each slice's minutes put together two by two (``max``, ``operator.add``); 0 for a silent slice."""
        gathered = [0] * self.count
        for minute, count in minutes.items():
            if self.start_min <= minute < self.end_min:
                place = (minute - self.start_min) // self.step_min
                gathered[place] = by(gathered[place], count)
        return gathered


def bins_of(minutes: range) -> Bins:
    """At most ``MAX_BINS`` slices of a round length that cover ``minutes``, which is not empty."""
    step = next((step for step in _STEPS_MIN if len(minutes) <= MAX_BINS * step), -(-len(minutes) // MAX_BINS))
    start = minutes.start // step * step
    return Bins(start, step, -(-(minutes.stop - start) // step))


def around(marks: Sequence[Mark], minutes: range) -> range:
    """The part of ``minutes`` in which a subject's decisions lie, with some context; all of it if none does."""
    marked = [minute for mark in marks if (minute := int(mark.at_s) // MINUTE_S) in minutes]
    if not marked:
        return minutes
    return range(max(minutes.start, min(marked) - _BEFORE_MIN), min(minutes.stop, max(marked) + _AFTER_MIN))


def stream_chart(total: Mapping[int, int], decided: Mapping[int, Counter[Action]], minutes: range) -> str:
    """Requests a minute of the whole stream, and below them the decisions by action."""
    bins = bins_of(minutes)
    rates = [count / bins.step_min for count in bins.gather(total, add)]
    top = max(*rates, 1.0)
    area = _svg(bins.count, "requests a minute", f'<path class="rate" d="{_bars(rates, top)}"/>', "tall")
    counts = {
        action: bins.gather({minute: by_action[action] for minute, by_action in decided.items()}, add)
        for action in Action
    }
    stacked = [list(accumulate(column)) for column in zip(*(counts[action] for action in Action), strict=True)]
    most = max(column[-1] for column in stacked)
    layers = "".join(
        f'<path class="{action}" d="{_bars([column[place] for column in stacked], most)}"/>'
        for place, action in reversed(list(enumerate(Action)))
        if any(counts[action])
    )
    bars = _svg(bins.count, "decisions", layers, "flat") if most else ""
    caption = f"Requests a minute, at most {top:,.0f}{_mean_over(bins)}"
    below = f'<p class="caption">Decisions, at most {most:,.0f} in {_slice(bins)}</p>{bars}' if most else ""
    return f'<p class="caption">{caption}</p>{area}{below}{_axis(bins)}'


def timeline(
    requests: Mapping[int, int], marks: Sequence[Mark], minutes: range, usual: float | None, limit: int | None
) -> str:
    """One tenant's requests a minute (the busiest minute of each slice) with its decisions.

    ``usual`` and ``limit`` are requests a minute, drawn when known.
    """
    bins = bins_of(minutes)
    peaks = bins.gather(requests, max)
    top = max(*peaks, 1.2 * (usual or 0.0), 1.0)
    drawn = [f'<path class="rate" d="{_bars(peaks, top)}"/>']
    if usual is not None:
        edge = f"M0 {_y(usual, top)}H{bins.count}"
        drawn.insert(0, f'<path class="band" d="{edge}V{_HEIGHT}H0Z"/>')
        drawn.append(f'<path class="usual" d="{edge}"/>')
    if limit is not None and limit <= top:
        drawn.append(f'<path class="limit" d="M0 {_y(limit, top)}H{bins.count}"/>')
    for mark in marks:
        if 0 <= (x := bins.place(mark.at_s)) <= bins.count:
            moment = f"{_clock(mark.at_s, '%H:%M:%S')} {mark.action}"
            drawn.append(
                f'<path class="mark {mark.action}" d="M{x:.2f} 0V{_HEIGHT}"><title>{escape(moment)}</title></path>'
            )
    known = [f"at most {max(peaks):,.0f} requests a minute"]
    if usual is not None:
        known.append(f'<span class="key usual"></span>usual&nbsp;{usual:,.0f}')
    if limit is not None:
        known.append(f'<span class="key limit"></span>limit&nbsp;{limit:,}')
    caption = f'<p class="caption">{" · ".join(known)}</p>'
    return f"{caption}{_svg(bins.count, 'requests a minute of this tenant', ''.join(drawn), 'small')}{_axis(bins)}"


def _bars(values: Sequence[float], top: float) -> str:
    return "".join(f"M{x} {_HEIGHT}V{_y(value, top)}H{x + 1}V{_HEIGHT}" for x, value in enumerate(values) if value)


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT * (1 - value / top):.1f}"


def _svg(width: int, label: str, content: str, kind: str) -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{label}">{content}</svg>'
    )


def _axis(bins: Bins) -> str:
    days = bins.end_min // 1_440 - bins.start_min // 1_440
    later = "%-d %b %H:%M" if days else "%H:%M"
    half_min = (bins.start_min + bins.end_min) / 2
    labels = (
        _clock(bins.start_min * MINUTE_S, "%-d %b %H:%M"),
        _clock(half_min * MINUTE_S, later),
        _clock(bins.end_min * MINUTE_S, later),
    )
    return f'<div class="axis">{"".join(f"<span>{label}</span>" for label in labels)}</div>'


def _mean_over(bins: Bins) -> str:
    return "" if bins.step_min == 1 else f" (mean of {_slice(bins)})"


def _slice(bins: Bins) -> str:
    return "a minute" if bins.step_min == 1 else f"{bins.step_min:,} minutes"


def _clock(at_s: float, form: str) -> str:
    at_s = min(max(at_s, _FIRST_S), _LAST_S)
    return datetime.fromtimestamp(at_s, UTC).strftime(form)
