"""A tenant's rhythm of the day: how much busier or quieter than usual each hour of it is."""

from math import log1p
from typing import NamedTuple

from msgspec import Struct, field

#: A batch that begins some minutes before its hour is as usual as in it: of the hours that are so near, the busier.
EDGE_MINUTES = 15
_HOURS = 24
#: Weight, in days, of no difference between the hours: what two days agree on is half believed.
_PRIOR_DAYS = 2.0
#: Older days than this fade, so that a new shift or time zone is learned within two weeks.
_MAX_DAYS = 10
#: Differences are kept in steps of half a percent.
_STEPS = 200


class Shifts(NamedTuple):
    """What an hour adds to the usual level of loads, in natural log units; ``none`` is for all other features."""

    minutes: float = 0.0
    blocks: float = 0.0
    none: float = 0.0


NO_SHIFTS = Shifts()


class Hour(Struct, array_like=True, gc=False):
    """An hour of the day (UTC): on how many days it was active, and its mean difference from usual, in steps.

    ``minutes`` is the difference of active minutes' requests, ``blocks`` that of ten minutes'.
    """

    days: int = 0
    minutes: int = 0
    blocks: int = 0


_NEVER_SEEN = Hour()


class Rhythm(Struct, array_like=True, gc=False):
    """Differences of the hours of the day, 24 at most, some 150 bytes; the same on all weekdays (docs/detection.md).

    ``hour`` (since 1970) is that of the minute learned last, ``minutes`` and ``blocks`` what its minutes and its blocks
    of ten differ by from the tenant's level: sums and counts.
    """

    hour: int = -1
    minutes: list[float] = field(default_factory=lambda: [0.0, 0])
    blocks: list[float] = field(default_factory=lambda: [0.0, 0])
    hours: dict[int, Hour] = field(default_factory=dict)

    def gather(self, minute: int, windows: list[float], requests: float, level: float) -> None:
        """Count a window that ends with a minute among ``minutes`` or ``blocks``; ``level`` is a mean of log1p."""
        if minute // 60 != self.hour:
            self._turn(minute // 60)
        windows[0] += log1p(requests) - level
        windows[1] += 1

    def shifts(self, minute: int) -> Shifts:
        """What to expect beside the usual level in windows that end with a minute."""
        one = self.hours.get((minute - EDGE_MINUTES) // 60 % _HOURS, _NEVER_SEEN)
        other = self.hours.get((minute + EDGE_MINUTES) // 60 % _HOURS, _NEVER_SEEN)
        one_weight, other_weight = _weight(one), _weight(other)
        return Shifts(
            max(one.minutes * one_weight, other.minutes * other_weight),
            max(one.blocks * one_weight, other.blocks * other_weight),
        )

    def _turn(self, hour: int) -> None:
        if self.minutes[1] and self.blocks[1]:
            known = self.hours.setdefault(self.hour % _HOURS, Hour())
            known.days = min(known.days + 1, _MAX_DAYS)
            known.minutes += round((self.minutes[0] / self.minutes[1] * _STEPS - known.minutes) / known.days)
            known.blocks += round((self.blocks[0] / self.blocks[1] * _STEPS - known.blocks) / known.days)
        self.hour = hour
        self.minutes[:] = self.blocks[:] = [0.0, 0]


def _weight(hour: Hour) -> float:
    return hour.days / (hour.days + _PRIOR_DAYS) / _STEPS


def next_change_ms(minute: int) -> int:
    """When other hours count than in a minute, at the earliest: ``EDGE_MINUTES`` before or after a full hour."""
    return ((minute + EDGE_MINUTES) // (2 * EDGE_MINUTES) * 2 * EDGE_MINUTES + EDGE_MINUTES) * 60_000
