"""Event-time clock of one partition: how far time has certainly come."""

from msgspec import Struct, field

#: Gateways flush late: an event this much behind the newest one is still in time.
ALLOWED_LATENESS_MS = 30_000
#: Further ahead than this, an event is a claim that others must confirm: one bad clock must blind nobody.
MAX_STEP_MS = 60_000
CONFIRMING_TENANTS = 3


class Watermark(Struct, array_like=True):
    """Newest believed event time of a partition, in milliseconds since 1970; ``None`` before its first event.

    A step of more than ``MAX_STEP_MS`` is believed when three tenants claim one, or when claims go on for
    ``MAX_STEP_MS`` without anybody speaking at the old time (a quiet partition after a pause). Any event near the old
    time withdraws all claims. At most three claims are kept.
    """

    newest_ms: int | None = None
    claims: dict[str, int] = field(default_factory=dict)
    claimed_since_ms: int = 0

    @property
    def time_ms(self) -> int:
        """The watermark: no event before it is in time any more. Only after the first event."""
        assert self.newest_ms is not None  # noqa: S101
        return self.newest_ms - ALLOWED_LATENESS_MS

    def observe(self, tenant_id: str, time_ms: int) -> None:
        """Take one accepted event's time into account."""
        newest = self.newest_ms
        if newest is None:
            self.newest_ms = time_ms
        elif time_ms > newest + MAX_STEP_MS:
            self._claim(tenant_id, time_ms)
        else:
            if self.claims:
                self.claims = {}
            if time_ms > newest:
                self.newest_ms = time_ms

    def _claim(self, tenant_id: str, time_ms: int) -> None:
        if not self.claims:
            self.claimed_since_ms = time_ms
        self.claims[tenant_id] = time_ms
        if len(self.claims) >= CONFIRMING_TENANTS or time_ms - self.claimed_since_ms >= MAX_STEP_MS:
            self.newest_ms = min(self.claims.values())
            self.claims = {}
