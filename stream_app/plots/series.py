"""A panel of plain series over time, such as a campaign's: areas from zero, staircases, and moments across them."""

from collections.abc import Sequence

from msgspec import Struct

from stream_app.plots.panels import Frame, Key, ticks
from stream_app.plots.shapes import Area, Line, Shape
from stream_app.plots.times import Bins, clock_at


class Series(Struct, frozen=True):
    """Values by slice; ``key`` says what they are."""

    tone: str
    key: str
    values: Sequence[float]
    is_area: bool = False


class Instant(Struct, frozen=True):
    """A moment of the whole panel; ``at_s`` is event time in seconds since 1970."""

    tone: str
    key: str
    at_s: float


class SeriesPanel(Struct, frozen=True):
    """Series that share their slices and their unit, drawn in order; ``most`` ends the scale, if it is given."""

    title: str
    bins: Bins
    series: Sequence[Series]
    instants: Sequence[Instant] = ()
    height: float = 150.0
    most: float | None = None

    def highest(self) -> float:
        """The value at the upper edge, a round one."""
        if self.most is not None:
            return self.most
        return ticks(max(1.0, 1.05 * max((value for one in self.series for value in one.values), default=0.0)))[-1]

    def keys(self) -> list[Key]:
        """Every tone, and what it means here; instants without a key, or that lie outside, are left out."""
        shown = [Key(one.tone, one.key, one.is_area) for one in self.series if any(one.values)]
        return shown + [Key(f"mark {one.tone}", one.key) for one in self.instants if one.key and self.share_of(one)]

    def draw(self, frame: Frame) -> list[Shape]:
        """The panel without its axes and words, within the frame."""
        highest, width = self.highest(), frame.width / self.bins.count
        shapes: list[Shape] = []
        for tick in ticks(highest)[1:]:
            y = frame.bottom - frame.height * tick / highest
            shapes.append(Line("grid", [(frame.left, y), (frame.left + frame.width, y)]))
        for one in self.series:
            if not any(one.values):
                continue
            steps: list[tuple[float, float]] = []
            for place, value in enumerate(one.values):
                if not one.is_area and not any(one.values[: place + 1]):
                    continue  # a line begins where there is something
                y = frame.bottom - frame.height * value / highest
                steps += [(frame.left + place * width, y), (frame.left + (place + 1) * width, y)]
            closed = [(steps[0][0], frame.bottom), *steps, (steps[-1][0], frame.bottom)]
            shapes.append(Area(one.tone, closed) if one.is_area else Line(one.tone, steps))
        for instant in self.instants:
            if (share := self.share_of(instant)) is not None:
                x = frame.left + frame.width * share
                told = f"{clock_at(instant.at_s, '%-d %b %H:%M')} {instant.key}"
                shapes.append(Line(f"mark {instant.tone}", [(x, frame.top), (x, frame.bottom)], title=told))
        return shapes

    def share_of(self, instant: Instant) -> float | None:
        """Its place on the axis, 0 to 1; ``None`` outside."""
        share = self.bins.place(instant.at_s) / self.bins.count
        return share if 0 < share <= 1 else None
