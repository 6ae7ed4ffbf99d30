"""How the provider serves a partition's tenants as a whole: what happens to everybody is nobody's doing."""

from zlib import crc32

from msgspec import UNSET, Struct, field

from stream_app.detection.events import FAILED_STATUS, Event, is_served
from stream_app.detection.features import CODES, MIN_SHAPE_REQUESTS
from stream_app.detection.hours import HOUR_MINUTES
from stream_app.detection.windows import LONG_MINUTES, PANES, Minute

#: Minutes kept: the forty that a look at everybody reaches, and as many more as closing may lag behind.
_MINUTES = 90
#: Everybody's last ten minutes are compared with so many before them.
_MINUTES_BEFORE = 30
#: As busy as this, in panes that had an event, is more than an ordinary swing of the day in half an hour …
_BUSIER = 1.5
#: … beside the panes that one tenant alone can fill: nobody makes himself a crowd. A crowd is seen in two minutes when
#: it comes at once, and in ten when it comes slowly.
_SPANS = (2, LONG_MINUTES)
#: And of hours: with as many days before, so many are kept.
_DAYS_BEFORE, _DAY_HOURS = 7, 24
_HOURS = (_DAYS_BEFORE + 1) * _DAY_HOURS
#: Answers to others below which nothing is known of them.
_MIN_ANSWERS = 100
#: After the provider has failed such a share of everybody, what was lost comes again within the half hour. Of fewer
#: answers a share says nothing.
_OUTAGE_SHARE, _MIN_OUTAGE_ANSWERS = 0.2, 30
#: As many times the others' share of failures is put down to the provider: an outage is never quite even.
_UNEVEN = 5.0
#: A model that so many tenants are served by, a day or more after the first event, is launched (a tenant's
#: own tuned model is not), and new to everybody for a week: by then whoever moves with the crowd has tried it.
_LAUNCHED_BY, _FIRST_DAY_MINUTES, _NEW_MINUTES = 5, 1_440, 7 * 1_440
#: Models kept of either kind, several times what a provider has.
_MAX_MODELS = 256
_FAILURES, _LATENCY = CODES.index("provider_errors_percent_600s"), CODES.index("latency_percent_600s")


class Answers(Struct, array_like=True, gc=False):
    """Of one minute: requests answered, those that the provider failed (5xx), and latencies in milliseconds.

    ``panes`` counts those of all tenants that had an event: how many are busy, whatever one of them sends.
    """

    served: int = 0
    failed: int = 0
    timed: int = 0
    latency_ms: int = 0
    panes: int = 0


class Services(Struct, array_like=True, gc=False):
    """Answers to all tenants of a partition by minute, an hour and a half of them, and panes by hour of eight days.

    Only events in time are counted, so that a minute stands still once the watermark has passed it. ``launched`` has
    the minute in which each model was, 0 for those there from the beginning, which is ``begun``; ``tried`` the first
    few tenants (CRC-32) of models that only they use.
    """

    minutes: dict[int, Answers] = field(default_factory=dict)
    launched: dict[str, int] = field(default_factory=dict)
    tried: dict[str, list[int]] = field(default_factory=dict)
    begun: int = 0
    hours: dict[int, int] = field(default_factory=dict)

    def count(self, event: Event, minute: int, is_first: bool) -> None:
        """Count an answer; refusals (403, 429) are none. ``is_first``: the event is the first in its tenant's pane."""
        answers = self.minutes.get(minute) or self._begin(minute)
        if is_first:
            answers.panes += 1
            hour = minute // HOUR_MINUTES
            self.hours[hour] = self.hours.get(hour, 0) + 1
        status = event.status_code
        if status >= 400 and not is_served(status):
            answers.failed += status >= FAILED_STATUS
            return
        answers.served += 1
        if is_first and event.model not in self.launched and status < 400:
            self._try(event.model, event.tenant_id, minute)
        if event.latency_ms is not UNSET:
            answers.timed += 1
            answers.latency_ms += round(event.latency_ms)

    def _try(self, model: str, tenant_id: str, minute: int) -> None:
        self.begun = self.begun or minute
        if model not in self.tried and len(self.tried) >= _MAX_MODELS:
            del self.tried[next(iter(self.tried))]
        tenants = self.tried.setdefault(model, [])
        tenant = crc32(tenant_id.encode())
        if tenant not in tenants and len(tenants) < _LAUNCHED_BY:
            tenants.append(tenant)
        if len(tenants) >= _LAUNCHED_BY and len(self.launched) < _MAX_MODELS:
            del self.tried[model]
            self.launched[model] = minute if minute - self.begun > _FIRST_DAY_MINUTES else 0

    def new_models(self, minute: int) -> frozenset[str]:
        """Models launched in the week up to a minute: that a tenant moves there is news, but not of the tenant."""
        return frozenset(model for model, first in self.launched.items() if minute - _NEW_MINUTES < first <= minute)

    def _begin(self, minute: int) -> Answers:
        for old in [index for index in self.minutes if index <= minute - _MINUTES]:
            del self.minutes[old]
        for old in [hour for hour in self.hours if hour < minute // HOUR_MINUTES - _HOURS]:
            del self.hours[old]
        self.minutes[minute] = Answers()
        return self.minutes[minute]

    def is_everybody_busy(self, minute: int) -> bool:
        """Whether tenants in general are busier than in the half hour before, or nothing is known of that half hour.

        After a gap in collection, an outage or a common start a small tenant's excess is nobody's doing.
        """
        if any(self._is_outage(minute - back) for back in range(0, _MINUTES_BEFORE, LONG_MINUTES)):
            return True
        last = minute - LONG_MINUTES
        usual = self._panes(last, _MINUTES_BEFORE) / _MINUTES_BEFORE
        if not usual or min(self.minutes) > last - _MINUTES_BEFORE + LONG_MINUTES:
            return True
        return any(self._panes(minute, span) > span * (_BUSIER * usual + PANES) for span in _SPANS)

    def is_busy_day(self, minute: int, hours: int, own: float, usual: float) -> bool:
        """Whether the others were so much busier in the last full hours than in the same hours of the days before.

        Of whole hours before that of the minute, since these stand still; true where no such day is known.
        ``own`` requests of one tenant, and what is ``usual`` for it, are left out: as many panes at most.
        """
        last = minute // HOUR_MINUTES
        back = [self._panes_of_hours(last - _DAY_HOURS * day, hours) for day in range(_DAYS_BEFORE + 1)]
        known = [panes for panes in back[1:] if panes]
        return not known or back[0] - own > _BUSIER * max(sum(known) / len(known) - usual, 0.0) + PANES * hours

    def _panes_of_hours(self, end: int, count: int) -> int:
        return sum(self.hours.get(hour, 0) for hour in range(end - count, end))

    def _is_outage(self, last: int) -> bool:
        """Whether the provider failed much of what it answered in the ten minutes up to one."""
        parts = [self.minutes[m] for m in range(last - LONG_MINUTES + 1, last + 1) if m in self.minutes]
        failed, served = sum(part.failed for part in parts), sum(part.served for part in parts)
        return failed >= _OUTAGE_SHARE * (failed + served) and failed + served >= _MIN_OUTAGE_ANSWERS

    def _panes(self, last: int, count: int) -> int:
        return sum(self.minutes[m].panes for m in range(last - count + 1, last + 1) if m in self.minutes)

    def compare(self, minute: int, own: list[Minute], served: int) -> list[tuple[int, float]]:
        """A tenant's failures and latency against those of all others, in the ten minutes up to one; if known.

        ``served`` are its requests in them, which minutes that are not closed do not know yet.
        """
        others = Answers()
        for index in range(minute - LONG_MINUTES + 1, minute + 1):
            if (answers := self.minutes.get(index)) is not None:
                others.served += answers.served
                others.failed += answers.failed
                others.timed += answers.timed
                others.latency_ms += answers.latency_ms
        failed = sum(part.failed for part in own)
        shapes = [part.shape for part in own if part.shape is not None]
        timed, latency_ms = sum(shape.timed for shape in shapes), sum(shape.latency_ms for shape in shapes)
        values: list[tuple[int, float]] = []
        rest = others.served + others.failed - served - failed
        if rest >= _MIN_ANSWERS:
            share = _UNEVEN * max(others.failed - failed, 0) / rest
            values.append((_FAILURES, 100.0 * max(failed / (served + failed) - share, 0.0)))
        rest_timed, rest_ms = others.timed - timed, others.latency_ms - latency_ms
        if timed >= MIN_SHAPE_REQUESTS and rest_timed >= _MIN_ANSWERS and rest_ms > 0:
            values.append((_LATENCY, 100.0 * (latency_ms / timed) / (rest_ms / rest_timed)))
        return values
