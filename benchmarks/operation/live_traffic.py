"""Traffic in real time: the stream of job J1 at any rate, and tenants with a short history that burst."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

from benchmarks.operation.streams import new_producer, put
from benchmarks.race.workloads import Stream, values_of
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: Requests are sent this often, as many as are due.
TICK_S = 0.01
#: What a bursting tenant has done before: so many minutes with so many requests each.
HISTORY_MINUTES, USUAL_REQUESTS = 30, 2
#: A burst: far above what such a history makes usual, within the ten seconds of one pane.
BURST_EVENTS, BURST_S = 300, 1.0


def now_text(time_s: float | None = None) -> bytes:
    """Now, or another Unix time, as an event has it."""
    moment = datetime.now(UTC) if time_s is None else datetime.fromtimestamp(time_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23].encode() + b"Z"


class Background:
    """Sends the events of a stream over and over, at a rate and with the time of now; ``sent`` counts them."""

    def __init__(self, settings: Settings, stream: Stream, rate: float) -> None:
        self.sent = 0
        self._topic = settings.topic(TopicName.REQUESTS)
        self._producer = new_producer(settings.broker, linger_ms=5)
        self._rate = rate
        # An event begins with its id, of eight digits behind "req-", and its time, of 24 characters.
        self._parts = [(event.tenant_id.encode(), value[11:29], value[53:]) for event, value in values_of(stream)]
        self._began_s = time.monotonic()

    def send_due(self) -> None:
        """Send what is due, after a short sleep."""
        time.sleep(TICK_S)
        now = now_text()
        due = round((time.monotonic() - self._began_s) * self._rate)
        for number in range(self.sent, due):
            turn, place = divmod(number, len(self._parts))
            key, head, tail = self._parts[place]
            put(self._producer, self._topic, key, b'{"id":"%d-%s%s%s' % (turn, head, now, tail))
        self.sent = max(due, self.sent)
        self._producer.poll(0)

    def flush(self) -> None:
        """Return once the broker has everything."""
        self._producer.flush()


class Bursts:
    """One tenant after the other that has been quiet until then; ``sent`` counts events, the history's included."""

    def __init__(self, settings: Settings, tenants: int, per_s: float) -> None:
        self.sent = 0
        self._topic = settings.topic(TopicName.REQUESTS)
        self._producer = new_producer(settings.broker, linger_ms=5)
        self._tenants = tenants
        self._per_s = per_s
        self._numbers = count()
        self._events = self._burst_events()
        self._began_s = time.monotonic()
        self._burst_sent = 0

    def send_history(self) -> None:
        """What all of them have done until now."""
        now_s = time.time()
        step_s = 60.0 / USUAL_REQUESTS
        for step in range(HISTORY_MINUTES * USUAL_REQUESTS, 0, -1):
            for tenant in range(self._tenants):
                self._send(tenant, now_text(now_s - step * step_s))
        self._producer.flush()

    def begin(self) -> None:
        """From now on bursts are due."""
        self._began_s = time.monotonic()

    def send_due(self) -> None:
        """Send what is due now."""
        now = now_text()
        due = round((time.monotonic() - self._began_s) * self._per_s * BURST_EVENTS)
        while self._burst_sent < due and (tenant := next(self._events, None)) is not None:
            self._send(tenant, now)
            self._burst_sent += 1
        self._producer.poll(0)

    def flush(self) -> None:
        """Return once the broker has everything."""
        self._producer.flush()

    def _burst_events(self) -> Iterator[int]:
        """Whose the next event is: as many tenants take turns as burst at the same time."""
        together = max(1, round(self._per_s * BURST_S))
        for first in range(0, self._tenants, together):
            for _ in range(BURST_EVENTS):
                yield from range(first, min(first + together, self._tenants))

    def _send(self, tenant: int, now: bytes) -> None:
        value = (
            b'{"id":"burst-%d","time":"%s","tenant_id":"burst-%d","account_id":"a","model":"m","status_code":200,'
            b'"input_tokens":500,"output_tokens":100}' % (next(self._numbers), now, tenant)
        )
        put(self._producer, self._topic, b"burst-%d" % tenant, value)
        self.sent += 1
