"""How a tenant grows from week to week beside its partition: the slow reference that a ramp cannot drag along."""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log, log1p, sqrt
from statistics import median

from msgspec import Struct, field

from stream_app.detection.scorers import Expectation

DAY_MINUTES = 1440
#: Days remembered: the last five, the same weekdays a week before, and enough for a variation.
_DAYS = 15
_WEEK = 7
#: Below so many requests a day a tenant's growth is mostly chance; from there on it counts for the population's median.
MIN_DAY_REQUESTS = 20
#: Below so many, chance alone moves a day's total by more than the least variation: such growth is not judged.
MIN_JUDGED_REQUESTS = 100
#: Day totals are kept as logarithms in steps of half a percent.
_STEPS = 200
#: Share of day-to-day changes left aside as weekends: two of seven days end one and begin one.
_KEPT_SHARE = 0.7
#: Of a normal distribution, that share lies within so many standard deviations.
_KEPT_SD = 1.036
#: A day's variation known beforehand (.15 in natural log units), and its weight in days: ten days of its own say more.
_PRIOR_SD, _PRIOR_WEIGHT = 0.15, 4.0
#: Least variation: a steady tenant may be a tenth up on another day.
_MIN_SD = 0.1
#: A tenant's growth is the middle one of so many last days, because one busy day is no growth, and varies by so much
#: less than a day (a normal sample's median): three see a steep ramp sooner, five that of a tenant whose days differ.
_MEDIAN_SD = {3: 0.67, 5: 0.54}

#: A day's growths are gathered in the first half of the next day, and compared with from an hour later on: nobody's
#: comparison may depend on whose minute was closed first.
GATHER_MINUTES = 720
JUDGE_MINUTES = GATHER_MINUTES + 60
#: When a day is sealed: everything up to then is closed by then, with no backlog to speak of.
SEAL_MINUTES = GATHER_MINUTES + 5
#: Fewer tenants than this are no population: without one nobody's growth is judged. A minority cannot move a median.
MIN_TENANTS = 8
_MOST_STEPS = 8 * _STEPS
_MIN_JUDGED_LEVEL = log(MIN_JUDGED_REQUESTS) * _STEPS


class Population(Struct, array_like=True):
    """How a partition's tenants grew within a week: the median, by day (since 1970).

    ``gathered`` counts tenants by growth, of days not yet sealed. Sums of counts are the same in any order, so that the
    order in which tenants' days end does not matter. At most some 3,000 counts a day for two days, and fifteen medians.
    """

    sealed_day: int = -1
    gathered: dict[int, dict[int, int]] = field(default_factory=dict)
    growths: dict[int, float] = field(default_factory=dict)

    def gather(self, day: int, steps: int) -> None:
        """Count one tenant's growth from a week before up to ``day``."""
        if day > self.sealed_day:
            counts = self.gathered.setdefault(day, {})
            steps = max(-_MOST_STEPS, min(steps, _MOST_STEPS))
            counts[steps] = counts.get(steps, 0) + 1

    def seal(self, day: int) -> None:
        """All that can count for days up to ``day`` has been gathered."""
        for gathered in sorted(known for known in self.gathered if known <= day):
            counts = self.gathered.pop(gathered)
            if sum(counts.values()) >= MIN_TENANTS:
                self.growths[gathered] = _median(counts) / _STEPS
        self.growths = {known: growth for known, growth in self.growths.items() if known > day - _DAYS}
        self.sealed_day = day


def sealable_day(closable: int) -> int:
    """The newest day that may be sealed when minutes up to ``closable`` may be closed."""
    return (closable - SEAL_MINUTES) // DAY_MINUTES - 1


def gathered_until(day: int) -> int:
    """The last minute whose closing counts for a day."""
    return (day + 1) * DAY_MINUTES + GATHER_MINUTES - 1


def _median(counts: dict[int, int]) -> int:
    left = sum(counts.values()) // 2
    for steps in sorted(counts):
        left -= counts[steps]
        if left < 0:
            return steps
    raise AssertionError


class Growth(Struct, array_like=True, gc=False):
    """A tenant's requests by day; some 60 bytes, eight in the first days.

    ``levels`` are logarithms of whole days' totals, the newest last, 0 for a day that was idle or only half seen.
    ``percent`` is what the last days come to in percent of a week before (``None`` while there is nothing to compare),
    ``usual`` and ``sd`` what the population and the tenant's own variation make of that, on the log1p scale.
    """

    day: int = -1
    requests: int = 0
    levels: list[int] = field(default_factory=list)
    judged_day: int = -1
    percent: float | None = None
    usual: float = 0.0
    sd: float = 1.0

    def learn_one(self, minute: int, requests: int, population: Population) -> None:
        """Count a closed minute's requests; a day that is over is gathered, and judged in the afternoon after it."""
        day, of_day = divmod(minute, DAY_MINUTES)
        if day != self.day:
            self._turn(day, of_day, population)
        self.requests += requests
        if of_day >= JUDGE_MINUTES and self.judged_day != day:
            self.judged_day = day
            self._judge(population)

    def expect(self) -> Expectation:
        """What ``percent`` would ordinarily be."""
        return Expectation(self.usual, self.sd)

    def _turn(self, day: int, of_day: int, population: Population) -> None:
        if self.day >= 0:
            level = round(log(self.requests) * _STEPS) if self.requests >= MIN_DAY_REQUESTS else 0
            idle = min(day - self.day - 1, _DAYS)
            self.levels = ([*self.levels, level] + [0] * idle)[-_DAYS:]
            if not any(self.levels):
                self.levels = []
            if of_day < GATHER_MINUTES and idle == 0 and (grown := self._grown(1)) is not None:
                population.gather(self.day, grown)
        # A first day that is not seen from its beginning says nothing: its total starts below any level.
        is_whole = self.day >= 0 or of_day < 60
        self.day, self.requests = day, 0 if is_whole else -(1 << 40)

    def _grown(self, back: int) -> int | None:
        """Growth within a week up to the day ``back`` days ago."""
        if len(self.levels) < back + _WEEK:
            return None
        newer, older = self.levels[-back], self.levels[-back - _WEEK]
        return newer - older if newer and older else None

    def _judge(self, population: Population) -> None:
        own = [
            (back, steps / _STEPS - other, other)
            for back in range(1, max(_MEDIAN_SD) + 1)
            if (steps := self._grown(back)) is not None
            and self.levels[-back] >= _MIN_JUDGED_LEVEL
            and (other := population.growths.get(self.day - back)) is not None
        ]
        self.percent, variation = None, _variation(self.levels)
        surest = float("-inf")
        for days, share in _MEDIAN_SD.items():
            found = sorted(grown[1:] for grown in own if grown[0] <= days)
            if len(found) < days - 1:
                continue
            excess, other = found[(len(found) - 1) // 2]
            if excess / share > surest:
                surest = excess / share
                self.percent = round(100.0 * exp(excess + other), 3)
                self.usual = log1p(100.0 * exp(other))
                self.sd = share * variation


def _variation(levels: Sequence[int]) -> float:
    """How much a day differs from the one before, as a standard deviation about the tenant's own trend; robust."""
    changes = [(newer - older) / _STEPS for older, newer in pairwise(levels) if older and newer]
    if not changes:
        return _PRIOR_SD
    trend = median(changes)
    kept = sorted(abs(change - trend) for change in changes)[int(_KEPT_SHARE * (len(changes) - 1) + 0.5)] / _KEPT_SD
    weight = _PRIOR_WEIGHT + len(changes)
    return max(sqrt((_PRIOR_WEIGHT * _PRIOR_SD**2 + len(changes) * kept**2) / weight), _MIN_SD)
