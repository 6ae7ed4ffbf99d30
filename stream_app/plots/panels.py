"""One feature's series with its baseline band and the moments of decision, as shapes within a frame."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import floor, inf, log10
from typing import NamedTuple

from msgspec import UNSET, Struct

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.features import Counter
from stream_app.plots.shapes import Area, Dot, Line, Shape
from stream_app.plots.times import Bins, Mark, clock_at
from stream_app.plots.tracks import Track

#: A level this many times above everything seen is drawn at the upper edge, so that it does not flatten the series.
_HEADROOM = 2.0
#: Features that are parts of a whole: beyond a hundred percent there is nothing, and no level above it is ever reached.
_PARTS = frozenset(
    {
        *(
            "errors_percent_600s",
            "model_shift_percent_600s",
            "provider_errors_percent_600s",
            "output_of_max_percent_600s",
        ),
        *("refused_percent_600s", "logprobs_percent_600s", "repeated_prompts_percent_600s"),
        *("jailbreak_percent_600s", "cot_elicitation_percent_600s"),
    }
)
_WHOLE = 100.0
#: Between these many lines the eye still finds its value.
_MAX_TICKS = 4
_AXIS_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Frame(NamedTuple):
    """Where a panel lies in its drawing; y grows downwards."""

    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        """Where zero lies."""
        return self.top + self.height


class Key(NamedTuple):
    """What a tone means in a panel."""

    tone: str
    text: str
    is_area: bool = False


def limit_of(decision: Decision, track: Track) -> float | None:
    """What a throttle leaves of a feature, where it limits just that."""
    feature = track.feature
    if decision.limit is UNSET or feature.counter is not Counter.REQUESTS or feature.window_s != 60:
        return None
    rate = decision.limit.requests_per_minute
    return None if rate is UNSET else float(rate)


class Moment(Struct, frozen=True):
    """A decision on this feature's panel; ``observed`` is the value that carried it, if it was a reason.

    ``is_told`` when it is the one that the picture is about.
    """

    mark: Mark
    observed: float | None = None
    is_told: bool = False


class Panel(Struct, frozen=True):
    """What one panel shows; ``limit`` is what a throttle leaves, in the track's unit and window."""

    track: Track
    moments: Sequence[Moment]
    limit: float | None = None

    @property
    def strictest(self) -> Action:
        """The strictest rung decided here, allow without any."""
        return max((moment.mark.action for moment in self.moments), key=lambda a: a.severity, default=Action.ALLOW)

    def drawn_rungs(self) -> list[Action]:
        """Rungs whose levels are drawn: the mildest, and the strictest decided that the feature may reach."""
        rungs = sorted(self.track.levels, key=lambda rung: rung.severity)
        reached = [rung for rung in rungs if rung.severity <= self.strictest.severity]
        return sorted({*rungs[:1], *reached[-1:]}, key=lambda rung: rung.severity)

    def highest(self) -> float:
        """The value at the upper edge: above everything seen and, if that is not far, above the levels."""
        track = self.track
        seen = max(
            *(value or 0.0 for value in (*track.served, *track.asked, *track.own)),
            *(moment.observed or 0.0 for moment in self.moments),
            *(value or 0.0 for value in track.expected),
            0.0,
        )
        levels = [value or 0.0 for rung in self.drawn_rungs() for value in track.levels[rung]]
        highest = ticks(1.05 * max(seen, min(max([*levels, self.limit or 0.0]), _HEADROOM * seen), 1e-9))[-1]
        return min(highest, self.most)

    @property
    def most(self) -> float:
        """What the feature can never exceed."""
        return _WHOLE if self.track.feature.code in _PARTS else inf


def ticks(highest: float) -> list[float]:
    """Round values from zero to the first that is not below ``highest``, a few of them."""
    raw = highest / _MAX_TICKS
    magnitude = 10.0 ** floor(log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * (1 - 1e-9))
    count = -floor(-highest / step * (1 - 1e-9))
    return [step * number for number in range(count + 1)]


def axis(highest: float) -> list[tuple[float, str]]:
    """The ticks up to ``highest``, all in one unit: ``0``, ``2.5k``, ``5k``."""
    size, sign = next(
        ((size, sign) for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")) if highest >= size), (1.0, "")
    )
    divisor = 1e3 if sign == "k" else size
    return [(tick, f"{tick / divisor:.6g}{sign if tick else ''}") for tick in ticks(highest)]


def draw(panel: Panel, frame: Frame) -> list[Shape]:
    """The panel without its axes and words. Everything lies within the frame, whatever the values."""
    track, highest = panel.track, panel.highest()

    def y(value: float) -> float:
        return frame.bottom - frame.height * min(max(value / highest, 0.0), 1.0)

    def steps(values: Sequence[float | None]) -> Iterator[list[tuple[float, float]]]:
        return _steps(values, track.bins, frame, y)

    expected = _carried(track.expected)
    shapes: list[Shape] = [Line("grid", [(frame.left, y(t)), (_right(frame), y(t))]) for t in ticks(highest)[1:]]
    rungs = panel.drawn_rungs()
    if rungs:
        shapes += _band(steps, expected, _carried(track.levels[rungs[0]]))
    shapes += [Area("rate", _closed(run, frame.bottom)) for run in steps(track.served)]
    shapes += [Area("own", _closed(run, frame.bottom)) for run in steps(track.own)]
    if any((asked or 0.0) > (served or 0.0) for asked, served in zip(track.asked, track.served, strict=True)):
        shapes += [Line("asked", run) for run in steps(track.asked)]
    shapes += [Line("usual", run) for run in steps(expected)]
    for rung in rungs:
        level = [value if value is None or value <= highest else None for value in _carried(track.levels[rung])]
        shapes += [Line(f"level {rung}", run, is_dashed=True) for run in steps(level)]
    if panel.limit is not None and panel.limit <= highest:
        shapes.append(Line("limit", [(frame.left, y(panel.limit)), (_right(frame), y(panel.limit))], is_dashed=True))
    return shapes + _moments(panel, frame, y)


def _moments(panel: Panel, frame: Frame, y: Callable[[float], float]) -> list[Shape]:
    shapes: list[Shape] = []
    for moment in panel.moments:
        place = panel.track.bins.place(moment.mark.at_s) / panel.track.bins.count
        if 0 <= place <= 1:
            x, action = frame.left + frame.width * place, moment.mark.action
            told = f"{clock_at(moment.mark.at_s, '%H:%M:%S')} {action}"
            shapes.append(Line(f"mark {action}", [(x, frame.top), (x, frame.bottom)], title=told))
            if moment.observed is not None:
                shapes.append(Dot(action, x, y(moment.observed)))
    return shapes


def _band(
    steps: Callable[[Sequence[float | None]], Iterator[list[tuple[float, float]]]],
    lower: Sequence[float | None],
    upper: Sequence[float | None],
) -> list[Shape]:
    both = [above if below is not None else None for below, above in zip(lower, upper, strict=True)]
    under = [below if above is not None else None for below, above in zip(lower, upper, strict=True)]
    return [Area("band", [*low, *reversed(high)]) for low, high in zip(steps(under), steps(both), strict=True)]


def _steps(
    values: Sequence[float | None], bins: Bins, frame: Frame, y: Callable[[float], float]
) -> Iterator[list[tuple[float, float]]]:
    """Each run of known values as a staircase."""
    width = frame.width / bins.count
    for is_known, run in groupby(enumerate(values), key=lambda item: item[1] is not None):
        if is_known:
            points: list[tuple[float, float]] = []
            for place, value in run:
                height = y(value or 0.0)
                points += [(frame.left + place * width, height), (frame.left + (place + 1) * width, height)]
            yield points


def _closed(run: list[tuple[float, float]], bottom: float) -> list[tuple[float, float]]:
    return [(run[0][0], bottom), *run, (run[-1][0], bottom)]


def _carried(values: Sequence[float | None]) -> list[float | None]:
    """What was known last is still so in a silence."""
    carried: list[float | None] = []
    for value in values:
        carried.append(value if value is not None or not carried else carried[-1])
    return carried


def _right(frame: Frame) -> float:
    return frame.left + frame.width
