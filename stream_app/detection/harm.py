"""The harm budget of a partition: how many subjects may be newly denied in an hour, counted in event time."""

from math import floor
from typing import NamedTuple

from msgspec import UNSET, Struct, field

from stream_app.detection.decisions import Budget
from stream_app.detection.rules import HarmBudget

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
_MINUTES = 60


class Allowance(NamedTuple):
    """A budget's value in force at one event."""

    allowed: int
    used: int

    @property
    def is_spent(self) -> bool:
        """Whether nobody else may be denied for now."""
        return self.used >= self.allowed


class Harm(Struct, array_like=True):
    """Tenants active by the hour, and denials of the last sixty minutes by minute.

    Both are counted at events, in the order of their offsets, so that they do not depend on when minutes are closed.
    """

    hour: int = 0
    active: int = 0
    active_before: int = 0
    denials: dict[int, int] = field(default_factory=dict)

    def count_active(self, hour: int) -> None:
        """Count a tenant's first event in an hour; late ones belong to the present."""
        if hour > self.hour:
            self.active_before = self.active if hour == self.hour + 1 else 0
            self.hour, self.active = hour, 0
        self.active += 1

    def allowance(self, budget: HarmBudget, now_ms: int) -> Allowance:
        """What is allowed and used in the hour that ends now; active tenants are those of this or the last hour."""
        first = now_ms // MINUTE_MS - _MINUTES
        used = sum(count for minute, count in self.denials.items() if minute > first)
        active = max(self.active, self.active_before)
        return Allowance(max(budget.at_least, floor(budget.share * active)), used)

    def settle(self, budget: Budget, now_ms: int) -> bool:
        """Count what a decision says of the budget: a denial, or that one was withheld, which is answered."""
        if budget.withheld is UNSET:
            self.count_denial(now_ms)
        return budget.withheld is not UNSET

    def count_denial(self, now_ms: int) -> None:
        """A subject is newly denied now; what is over an hour old is dropped."""
        minute = now_ms // MINUTE_MS
        denials = {m: count for m, count in self.denials.items() if m > minute - _MINUTES}
        denials[minute] = denials.get(minute, 0) + 1
        self.denials = denials
