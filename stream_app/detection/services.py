"""How the provider serves a partition's tenants as a whole: what happens to everybody is nobody's doing."""

from msgspec import UNSET, Struct, field

from stream_app.detection.events import DENIED_STATUS, FAILED_STATUS, Event
from stream_app.detection.features import CODES
from stream_app.detection.windows import LONG_MINUTES, Minute

#: Minutes kept: the ten that a window reaches, and as many more as closing may lag behind.
_MINUTES = 60
#: Answers to others below which nothing is known of them.
_MIN_ANSWERS = 100
#: As many times the others' share of failures is put down to the provider: an outage is never quite even.
_UNEVEN = 5.0
_FAILURES, _LATENCY = CODES.index("provider_errors_percent_600s"), CODES.index("latency_percent_600s")


class Answers(Struct, array_like=True, gc=False):
    """Of one minute: requests answered, those that the provider failed (5xx), and latencies in milliseconds."""

    served: int = 0
    failed: int = 0
    timed: int = 0
    latency_ms: int = 0


class Services(Struct, array_like=True, gc=False):
    """Answers to all tenants of a partition by minute, an hour of them.

    Only events in time are counted, so that a minute stands still once the watermark has passed it.
    """

    minutes: dict[int, Answers] = field(default_factory=dict)

    def count(self, event: Event, minute: int) -> None:
        """Count an answer; refusals (403, 429) are none."""
        status = event.status_code
        if status in DENIED_STATUS:
            return
        answers = self.minutes.get(minute) or self._begin(minute)
        if status >= FAILED_STATUS:
            answers.failed += 1
            return
        answers.served += 1
        if event.latency_ms is not UNSET:
            answers.timed += 1
            answers.latency_ms += round(event.latency_ms)

    def _begin(self, minute: int) -> Answers:
        for old in [index for index in self.minutes if index <= minute - _MINUTES]:
            del self.minutes[old]
        self.minutes[minute] = Answers()
        return self.minutes[minute]

    def compare(self, minute: int, own: list[Minute]) -> list[tuple[int, float]]:
        """A tenant's failures and latency against those of all others, in the ten minutes up to one; if known."""
        others = Answers()
        for index in range(minute - LONG_MINUTES + 1, minute + 1):
            if (answers := self.minutes.get(index)) is not None:
                others.served += answers.served
                others.failed += answers.failed
                others.timed += answers.timed
                others.latency_ms += answers.latency_ms
        served, failed = sum(part.requests for part in own), sum(part.failed for part in own)
        shapes = [part.shape for part in own if part.shape is not None]
        timed, latency_ms = sum(shape.timed for shape in shapes), sum(shape.latency_ms for shape in shapes)
        values: list[tuple[int, float]] = []
        rest = others.served + others.failed - served - failed
        if rest >= _MIN_ANSWERS:
            share = _UNEVEN * max(others.failed - failed, 0) / rest
            values.append((_FAILURES, 100.0 * max(failed / (served + failed) - share, 0.0)))
        rest_timed, rest_ms = others.timed - timed, others.latency_ms - latency_ms
        if timed and rest_timed >= _MIN_ANSWERS and rest_ms > 0:
            values.append((_LATENCY, 100.0 * (latency_ms / timed) / (rest_ms / rest_timed)))
        return values
