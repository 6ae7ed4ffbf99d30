"""The time axis of a plot: slices of event time, its labels, and the decisions on it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from stream_app.detection.decisions import Action, Decision

MINUTE_S = 60
#: More would be thinner than a pixel on a phone.
MAX_BINS = 180
_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1_440)
#: Distances between two labels, from a minute to a month.
_LABEL_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 7_200, 14_400, 43_200)
#: More labels would touch each other on a phone.
_MAX_LABELS = 5
#: A label nearer to an end of the axis than this share of it would reach beyond it.
_LABEL_MARGIN = 0.04
#: The first label has its date: on a phone the next would touch it when nearer than this share of the axis.
_FIRST_WIDTH = 0.22
#: The first and last seconds that a date can name, the years 1 and 9999.
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
#: Context of a subject's plot around its decisions.
_BEFORE_MIN, _AFTER_MIN = 60, 30


class Mark(Struct, frozen=True):
    """One decision on a plot; ``at_s`` is event time in seconds since 1970."""

    at_s: float
    action: Action


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

    def slice_of(self, minute: int) -> int | None:
        """The slice that a minute falls into, if any."""
        return (minute - self.start_min) // self.step_min if self.start_min <= minute < self.end_min else None

    def gather(self, minutes: Mapping[int, int], by: Callable[[int, int], int]) -> list[int]:
        """Counts of each slice's minutes put together two by two (``max``, ``operator.add``); 0 for a silent slice."""
        gathered = [0] * self.count
        for minute, count in minutes.items():
            if (place := self.slice_of(minute)) is not None:
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


def labels(bins: Bins) -> list[tuple[float, str]]:
    """Round times on the axis, each with its place as a share of the axis; the first one, and midnights, with date."""
    span = bins.end_min - bins.start_min
    step = next((step for step in _LABEL_STEPS_MIN if span <= _MAX_LABELS * step), -(-span // _MAX_LABELS))
    found: list[tuple[float, str]] = []
    for minute in range(-(-bins.start_min // step) * step, bins.end_min + 1, step):
        share = (minute - bins.start_min) / span
        is_free = len(found) != 1 or share - found[0][0] >= _FIRST_WIDTH
        if _LABEL_MARGIN <= share <= 1 - _LABEL_MARGIN and is_free:
            form = "%H:%M" if found and minute % 1_440 else ("%-d %b" if step >= 1_440 else "%-d %b %H:%M")
            found.append((share, clock_at(minute * MINUTE_S, form)))
    return found


def clock_at(at_s: float, form: str) -> str:
    """A time in UTC; beyond the years 1 and 9999 the nearest that can be named."""
    at_s = min(max(at_s, _FIRST_S), _LAST_S)
    return datetime.fromtimestamp(at_s, UTC).strftime(form)


def epoch_s(time: str) -> float:
    """RFC 3339 as seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def mark_of(decision: Decision) -> Mark:
    """The decision's moment."""
    return Mark(epoch_s(decision.issued_at), decision.action)
