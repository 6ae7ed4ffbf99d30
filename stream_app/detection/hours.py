"""Requests of the last hours: what a flood adds up to that is too slow for ten minutes to tell.

A light customer's sessions bring ten requests in ten minutes, and so does who floods it at forty an hour, or lives on
its stolen key. But sessions end::

    hour          | 9| 0| 0| 8| 0| 0|          a person's: 17 in six hours
                  |38|45|41|36|44|40|          244

The last six hours and the last day are judged as they go along, and learned as quarters and days in which something was
asked.
"""

from msgspec import Struct, field

HOUR_MINUTES = 60
#: Windows, in hours; the longest is kept.
SPANS = (6, 24)
_KEPT = max(SPANS)


class Hours(Struct, array_like=True, gc=False):
    """Requests by hour (since 1970) of one tenant; some thirty bytes.

    ``counts`` are of consecutive hours, ``hour`` the newest, 24 at most.
    """

    hour: int = -1
    counts: list[int] = field(default_factory=list)

    def add(self, minute: int, requests: int) -> tuple[int, ...]:
        """Count a closed minute's requests; gives, by span, those of the one that is over with it, or 0."""
        hour = minute // HOUR_MINUTES
        over: tuple[int, ...] = ()
        if hour != self.hour:
            if hour // SPANS[0] != self.hour // SPANS[0]:
                over = tuple(self._of_span(span) if hour // span != self.hour // span else 0 for span in SPANS)
            self.counts = [*self.counts, *[0] * min(hour - self.hour, _KEPT)][-_KEPT:]
            while not self.counts[0] and len(self.counts) > 1:
                del self.counts[0]
            self.hour = hour
        self.counts[-1] += requests
        return over

    def total(self, minute: int, span: int) -> int:
        """Requests of so many hours that end with the hour of a minute."""
        idle = minute // HOUR_MINUTES - self.hour
        return sum(self.counts[-max(span - idle, 0) :]) if idle < span else 0

    def _of_span(self, span: int) -> int:
        return sum(self.counts[-(self.hour % span + 1) :])
