"""Live traffic while faults happen: seeded tenants, some of them bursting, at a stated rate."""

import random
import time
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Producer

from stream_app.settings import Settings
from stream_app.topology import TopicName

TENANTS = 240
#: Tenants that burst at the same time, for that many of their records each; half of all records are theirs.
BURSTING, BURST_RECORDS = 8, 40
#: One of a burst's records in so many is an array of so many events: more than a pane remembers the ids of, so that
#: events counted twice cannot hide behind the ids.
ARRAY_EVERY, ARRAY_EVENTS = 10, 40
#: Event time begins this long ago and runs this much faster than ours until it has caught up, so that minutes close
#: while faults happen; windows still hold ten minutes of events.
PAST_S, PACE = 400.0, 5.0
_TICK_S = 0.02
DELIVERY_TIMEOUT_S = 120


class Sent(NamedTuple):
    """One record to send, at a Kafka timestamp."""

    tenant_id: str
    value: bytes
    timestamp_ms: int


def tenant_name(number: int) -> str:
    """Name of a tenant; the same in every run."""
    return f"tenant-{number:03d}"


class Population:
    """Draws requests: whose, and how large; the seed fixes everything but the time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._number = 0
        self._bursts = [
            (self._random.randrange(TENANTS), self._random.randrange(BURST_RECORDS)) for _ in range(BURSTING)
        ]

    def draw(self, time_ms: int) -> Sent:
        """The next record, with requests that end at a time."""
        if self._random.random() < 0.5:
            return self.draw_for(self.tenant(), 1, time_ms)
        is_array = self._random.randrange(ARRAY_EVERY) == 0
        return self.draw_for(tenant_name(self._next_bursting()), ARRAY_EVENTS if is_array else 1, time_ms)

    def tenant(self) -> str:
        """Any of the tenants."""
        return tenant_name(self._random.randrange(TENANTS))

    def draw_for(self, tenant_id: str, count: int, time_ms: int) -> Sent:
        """A record of some requests of one tenant."""
        events = [self._event(tenant_id, time_ms - 5 * place) for place in range(count)]
        return Sent(tenant_id, orjson.dumps(events if count > 1 else events[0]), time_ms)

    def _next_bursting(self) -> int:
        place = self._random.randrange(BURSTING)
        tenant, left = self._bursts[place]
        self._bursts[place] = (tenant, left - 1) if left else (self._random.randrange(TENANTS), BURST_RECORDS)
        return tenant

    def _event(self, tenant_id: str, time_ms: int) -> dict[str, Any]:
        self._number += 1
        drawn = self._random
        return {
            "id": f"{self._seed}-{self._number}",
            "time": datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            "tenant_id": tenant_id,
            "account_id": f"account-{drawn.randrange(12)}",
            "model": drawn.choice(("small", "medium", "large")),
            "status_code": drawn.choices((200, 429, 500), (0.93, 0.03, 0.04))[0],
            "input_tokens": drawn.randrange(2_000),
            "output_tokens": drawn.randrange(500),
        }


class Traffic:
    """Sends a population's requests while it is on; nothing is given up before the broker has it."""

    def __init__(self, settings: Settings, bootstrap: str, seed: int, rate: float) -> None:
        self.sent = 0
        self._topic = settings.topic(TopicName.REQUESTS)
        self._rate = rate
        self._population = Population(seed)
        self._producer = new_producer(bootstrap)
        self._stopping = Event()
        self._thread: Thread | None = None
        self._began_s = time.time()

    def start(self) -> None:
        """Begin, or go on, sending from a thread."""
        self._stopping.clear()
        self._thread = Thread(target=self._send, name="traffic", daemon=True)
        self._thread.start()

    def give_up(self) -> None:
        """End sending, whatever the broker has not taken."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End sending, and return once the broker has everything. Raises ``TimeoutError``."""
        self.give_up()
        if left := self._producer.flush(DELIVERY_TIMEOUT_S):
            raise TimeoutError(f"{left} records were not taken within {DELIVERY_TIMEOUT_S} s")

    def put(self, record: Sent) -> None:
        """Send one record beside the others."""
        put(self._producer, self._topic, record)

    def now_ms(self) -> int:
        """Event time of this moment."""
        now_s = time.time()
        elapsed_s = now_s - self._began_s
        return round(1000 * min(now_s, self._began_s - PAST_S + elapsed_s * PACE))

    def _send(self) -> None:
        """What a stall of ours has delayed is not made up for."""
        due = time.monotonic()
        while not self._stopping.is_set():
            due = max(due + _TICK_S, time.monotonic() - 1)
            now_ms = self.now_ms()
            for _ in range(round(self._rate * _TICK_S)):
                self.put(self._population.draw(now_ms))
                self.sent += 1
            self._producer.poll(0)
            self._stopping.wait(max(0.0, due - time.monotonic()))


def new_producer(bootstrap: str, **config: Any) -> Producer:
    """A producer as a gateway has it; idempotent, so that what it sends is there once."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2",
            "enable.idempotence": True,
            "linger.ms": 5,
            "delivery.timeout.ms": 1_000 * DELIVERY_TIMEOUT_S,
            "reconnect.backoff.max.ms": 500,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,
            **{name.replace("_", "."): value for name, value in config.items()},
        }
    )


def put(producer: Producer, topic: str, record: Sent) -> None:
    """Send one record, waiting while the producer's queue is full."""
    while True:
        try:
            producer.produce(topic, record.value, record.tenant_id.encode(), timestamp=record.timestamp_ms)
        except BufferError:
            producer.poll(0.1)
        else:
            return
