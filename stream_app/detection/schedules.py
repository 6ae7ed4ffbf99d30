"""When each tenant of a partition is due: minutes as buckets."""

from collections.abc import Iterator
from heapq import heappop, heappush

#: No minute: nothing will be due until something happens. Fits the four bytes that a state keeps of it.
NEVER = (1 << 32) - 1


class Schedule:
    """Tenant ids by the minute in which they are due.

    ``earliest`` is the first minute with an entry, ``NEVER`` without entries. An entry that is no longer true goes when
    its minute comes: who takes entries must look. Costs a pointer per entry, beside the id that is shared with the
    states' mapping.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, list[str]] = {}
        self._minutes: list[int] = []
        self.earliest = NEVER

    def put(self, tenant_id: str, minute: int) -> None:
        """Add an entry; none for ``NEVER``."""
        if minute == NEVER:
            return
        bucket = self._buckets.get(minute)
        if bucket is None:
            self._buckets[minute] = [tenant_id]
            heappush(self._minutes, minute)
            self.earliest = self._minutes[0]
        else:
            heappush(bucket, tenant_id)

    def take(self, minute: int) -> Iterator[str]:
        """Entries up to and including a minute, in the order (minute, tenant id), each taken off and told once."""
        previous: tuple[int, str] | None = None
        while self.earliest <= minute:
            first = self._minutes[0]
            bucket = self._buckets[first]
            entry = (first, heappop(bucket))
            if not bucket:
                del self._buckets[heappop(self._minutes)]
                self.earliest = self._minutes[0] if self._minutes else NEVER
            if entry != previous:
                yield entry[1]
            previous = entry
