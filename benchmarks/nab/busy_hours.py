"""When somebody is busy: offsets by hour of the week, which count only while they predict better than none.

Measured here before it becomes a part of the detector, whose baselines know no hours so far.
"""

DAY_HOURS, WEEK_HOURS = 24, 168
#: What an hour's offset may rest on, from the plainest: nothing, the hour of the day, the hour of the week.
_KINDS = NO_OFFSET, BY_DAY, BY_WEEK = range(3)
_CELLS = DAY_HOURS + WEEK_HOURS
#: An offset is kept in a byte: in steps of 1/32 (3 % on a natural log scale), up to 4 to either side.
_STEPS, _ZERO, _MOST = 32, 128, 127
_UNKNOWN = 0
#: The first look at an hour counts by half, because chance has as large a part in it; later ones move its offset by .3,
#: so that a month of weeks outweighs any one of them.
_FIRST_GAIN, _GAIN = 0.5, 0.3

#: Hour being learned, windows learned in it, weight; levels, mean errors and the hour's sums by kind; offsets.
Plain = tuple[int, int, float, list[float], list[float], list[float], bytes]


class BusyHours:
    """Offsets of a series by hour (UTC), and how well each kind of them has predicted.

    Every value is first predicted in three ways, each with a level of its own: without offset, by hour of the day, by
    hour of the week. The way with the least mean absolute error so far gives the offset (progressive validation): a
    profile that is no better than a plain level, or too young to be, changes nothing. Values are on a scale on which 4
    is much: natural logarithms, or standard deviations. Some 300 bytes when encoded, 6 µs a value.
    """

    __slots__ = ("_cells", "_errors", "_hour", "_known", "_levels", "_sums", "_weight", "judged_hour")

    def __init__(self, plain: Plain | None = None) -> None:
        #: The hour, since 1970, that ``offset`` and ``expected`` are about; it is set before they are asked.
        self.judged_hour = 0
        hour, known, weight, levels, errors, sums, cells = plain or (-1, 0, 0.0, [0.0] * 3, [0.0] * 3, [0.0] * 3, b"")
        self._hour, self._known, self._weight = hour, known, float(weight)
        self._levels, self._errors, self._sums = list(levels), list(errors), list(sums)
        self._cells = bytearray(cells or _CELLS)

    def to_plain(self) -> Plain:
        """The whole state, as ``__init__`` takes it."""
        cells = bytes(self._cells) if any(self._cells) else b""
        sums = (list(self._levels), list(self._errors), list(self._sums))
        return (self._hour, self._known, self._weight, *sums, cells)

    @property
    def kind(self) -> int:
        """The kind of offset in use."""
        return min(_KINDS, key=self._errors.__getitem__)

    def offset(self) -> float:
        """How much higher than on average values are in ``judged_hour``."""
        return self._offset(self.kind, self.judged_hour)

    def expected(self) -> float:
        """The level and the offset of ``judged_hour``."""
        kind = self.kind
        return self._levels[kind] + self._offset(kind, self.judged_hour)

    def learn_one(self, hour: int, value: float, memory: float) -> None:
        """Learn one value in an hour counted since 1970; hours come in order, ``memory`` is in values."""
        if hour != self._hour:
            self._turn(hour)
        self._weight = min(self._weight + 1.0, memory)
        gain = 1.0 / self._weight
        for kind in _KINDS:
            surprise = value - self._levels[kind] - self._offset(kind, hour)
            self._errors[kind] += gain * (abs(surprise) - self._errors[kind])
            self._levels[kind] += gain * surprise
            self._sums[kind] += value - self._levels[kind]
        self._known += 1

    def _offset(self, kind: int, hour: int) -> float:
        step = self._cells[_cell(kind, hour)] if kind else _UNKNOWN
        return (step - _ZERO) / _STEPS if step != _UNKNOWN else 0.0

    def _turn(self, hour: int) -> None:
        """An hour is over: move its offsets towards what was seen."""
        for kind in (BY_DAY, BY_WEEK) if self._known else ():
            place = _cell(kind, self._hour)
            seen, old = self._sums[kind] / self._known, self._offset(kind, self._hour)
            gain = _FIRST_GAIN if self._cells[place] == _UNKNOWN else _GAIN
            step = round((old + gain * (seen - old)) * _STEPS)
            self._cells[place] = _ZERO + max(-_MOST, min(step, _MOST))
        self._hour, self._known, self._sums = hour, 0, [0.0] * 3


def _cell(kind: int, hour: int) -> int:
    return hour % DAY_HOURS if kind == BY_DAY else DAY_HOURS + hour % WEEK_HOURS
