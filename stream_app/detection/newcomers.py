"""How tenants asked when they were new: what a newcomer, who has no past of its own, is compared with.

A tenant counts once in each feature, with the first window that its baseline learned. A value's tail probability is
the share of tenants that began at least as far out, the newcomer itself counted among them::

    score  =  1 - (tenants that began at this step or above + 1) / (tenants + 1)

so that few tenants say little, and of a thousand newcomers one reaches .999, whatever the feature's distribution.
"""

from collections.abc import Iterable, Sequence
from math import expm1, floor, inf, log1p, nextafter
from typing import NamedTuple

from msgspec import Struct, field
from scipy.special import stdtr

from stream_app.detection.features import FEATURES
from stream_app.detection.growths import DAY_MINUTES
from stream_app.detection.scorers import DEGREES_OF_FREEDOM, Baseline
from stream_app.detection.windows import is_block_end

#: Whom a reason of a decision says that its subject was compared with.
NEWCOMERS = "newcomers"
#: Windows of its own (an hour of ten minutes) after which a tenant's past says how it asks.
NEW_WINDOWS = 6.0
#: Features that newcomers are compared in: how a client asks.
COMPARED = frozenset(place for place, feature in enumerate(FEATURES) if feature.kind)
#: Values are counted in steps of an eighth on the log1p scale: 13 %.
_STEPS = 8
#: What newcomers still weigh after a day that brought others: their number halves in three weeks.
_KEPT = 1.0 - 1.0 / 30.0


class PeerExpectation(NamedTuple):
    """How newcomers ask: how many began at each step."""

    counts: dict[int, float]

    def level(self, quantile: float) -> float:
        """The largest value below the probability whose ``t_quantile`` is given; where the median's step begins.

        Infinite where so few have begun that nothing could reach it.
        """
        tail = 1.0 - float(stdtr(DEGREES_OF_FREEDOM, quantile))
        if self._tail(max(self.counts) + 1) > tail:
            return inf
        below = max(step for step in (0, *self.counts) if self._tail(step) > tail)
        return expm1(below / _STEPS) if quantile <= 0.0 else nextafter(expm1((below + 1) / _STEPS), 0.0)

    def score(self, value: float) -> float:
        """Share of newcomers, 0..1, that begin below ``value``."""
        return 1.0 - self._tail(_step(value))

    def _tail(self, step: int) -> float:
        beyond = sum(count for known, count in self.counts.items() if known >= step)
        return (beyond + 1.0) / (sum(self.counts.values()) + 1.0)


class Newcomers(Struct, array_like=True):
    """How a partition's tenants began, by feature place and step: some 600 counts, and as many a day for two days.

    As sums of counts, what is ``gathered`` of a day is the same in whatever order tenants' minutes are closed. Once the
    day is sealed it counts for everybody, and it fades: what is offered, and who comes for it, changes.
    """

    sealed_day: int = -1
    gathered: dict[int, dict[int, dict[int, int]]] = field(default_factory=dict)
    counts: dict[int, dict[int, float]] = field(default_factory=dict)

    def gather(self, minute: int, values: Iterable[tuple[int, float]], baselines: Sequence[Baseline | None]) -> None:
        """Count how a tenant begins: in features that its ``baselines`` are about to learn for the first time."""
        day = minute // DAY_MINUTES
        if day <= self.sealed_day or not is_block_end(minute):
            return
        for place, value in values:
            if place in COMPARED and (place >= len(baselines) or baselines[place] is None):
                counts = self.gathered.setdefault(day, {}).setdefault(place, {})
                step = _step(value)
                counts[step] = counts.get(step, 0) + 1

    def seal(self, day: int) -> None:
        """All that can count for days up to ``day`` has been gathered."""
        for gathered in sorted(known for known in self.gathered if known <= day):
            for place, counts in sorted(self.gathered.pop(gathered).items()):
                sealed = {step: count * _KEPT for step, count in self.counts.get(place, {}).items()}
                for step, count in counts.items():
                    sealed[step] = sealed.get(step, 0.0) + count
                self.counts[place] = dict(sorted(sealed.items()))
        self.sealed_day = day

    def expect(self, place: int) -> PeerExpectation | None:
        """How newcomers ask, if it is known of any."""
        counts = self.counts.get(place)
        return PeerExpectation(counts) if counts else None


def is_new(baselines: Sequence[Baseline | None], place: int) -> bool:
    """Whether a tenant's past does not say yet how it asks."""
    own = baselines[place] if place < len(baselines) else None
    return own is None or own.weight < NEW_WINDOWS


def _step(value: float) -> int:
    return floor(log1p(value) * _STEPS)
