"""Second step: which events that can be read must not be counted."""

from stream_app.detection.decode import Rejected, RejectReason
from stream_app.detection.events import Event
from stream_app.detection.watermark import ALLOWED_LATENESS_MS

#: Clocks of gateways and broker may differ this much before an event counts as coming from the future.
MAX_AHEAD_MS = 5_000
#: Older than this, an event is a replay or a broken clock, not a late flush.
MAX_AGE_MS = 86_400_000


def refuse_event(
    event: Event, time_ms: int, owner: str | None, timestamp_ms: int, newest_ms: int | None
) -> Rejected | None:
    """Why an event must not be counted, if so.

    ``owner`` is the tenant of the record, ``None`` when that belongs to another partition; ``timestamp_ms`` is Kafka's,
    ``newest_ms`` the partition's newest event time, ``None`` before its first event.
    """
    if owner is None:
        return Rejected(RejectReason.MISROUTED, "the tenant belongs to another partition (murmur2 of tenant_id)")
    if event.tenant_id != owner:
        return Rejected(RejectReason.MIXED_TENANTS, "an array holds the events of one tenant")
    if time_ms > timestamp_ms + MAX_AHEAD_MS:
        ahead_s = (time_ms - timestamp_ms) / 1000
        return Rejected(RejectReason.IN_FUTURE, f"{ahead_s:.0f} s ahead of the record's Kafka timestamp")
    if newest_ms is not None and time_ms < newest_ms - ALLOWED_LATENESS_MS - MAX_AGE_MS:
        return Rejected(
            RejectReason.TOO_OLD, f"{(newest_ms - time_ms) / 1000:.0f} s behind the partition's newest event"
        )
    return None
