"""What goes into the requests topic: variants of the seeded stream of job J1, shown to the worker all at once."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Producer

from benchmarks.race.workloads import SEED, Stream, draw_stream, values_of

#: The broker's own limit: a transaction may stay open this long.
_TRANSACTION_TIMEOUT_MS = 900_000
_ANSWER_S = 60.0


class Request(NamedTuple):
    """One record of the requests topic, with the number of its events."""

    tenant_id: str
    value: bytes
    time_ms: int
    events: int = 1


def requests_of(stream: Stream) -> Iterator[Request]:
    """The events of a stream, one a record."""
    for event, value in islice(values_of(stream), len(stream.tenants)):
        yield Request(event.tenant_id, value, event.time_ms)


def uniform_stream(tenants: int, size: int) -> Stream:
    """The stream of job J1 with as many tenants as wanted, all of the same size."""
    drawn = np.random.default_rng(SEED + tenants).integers(0, tenants, size)
    return draw_stream(SEED, size)._replace(tenants=drawn)


def in_arrays(requests: Iterable[Request], size: int) -> Iterator[Request]:
    """The same events, ``size`` of a tenant in a record, at the time of the last; what is left comes at the end."""
    waiting: dict[str, list[Request]] = {}
    for request in requests:
        own = waiting.setdefault(request.tenant_id, [])
        own.append(request)
        if len(own) == size:
            yield _array(waiting.pop(request.tenant_id))
    for own in waiting.values():
        yield _array(own)


def _array(requests: list[Request]) -> Request:
    value = b"[" + b",".join(request.value for request in requests) + b"]"
    return Request(requests[0].tenant_id, value, max(request.time_ms for request in requests), len(requests))


def new_producer(bootstrap: str, **config: Any) -> Producer:
    """A producer as a gateway has it."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 200_000,
            "log_level": 0,
            **{name.replace("_", "."): value for name, value in config.items()},
        }
    )


def put(producer: Producer, topic: str, key: bytes, value: bytes, **options: Any) -> None:
    """Send one record, waiting while the producer's queue is full."""
    while True:
        try:
            producer.produce(topic, value, key, **options)
        except BufferError:
            producer.poll(0.1)
        else:
            return


class PendingInput:
    """Requests in a topic that nobody sees before ``show``; ``events`` counts theirs."""

    def __init__(self, bootstrap: str, topic: str, requests: Iterable[Request]) -> None:
        self._producer = new_producer(
            bootstrap, linger_ms=50, transactional_id=f"input-{topic}", transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS
        )
        self._producer.init_transactions(_ANSWER_S)
        self._producer.begin_transaction()
        self.events = 0
        for request in requests:
            put(self._producer, topic, request.tenant_id.encode(), request.value, timestamp=request.time_ms)
            self._producer.poll(0)
            self.events += request.events
        self._producer.flush()

    def show(self) -> None:
        """Let every reader see all of it from now on."""
        self._producer.commit_transaction(_ANSWER_S)
