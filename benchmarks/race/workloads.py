"""The input of job J1: a seeded stream of API requests, and how it gets into a topic."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from stream_app.detection.partitions import partition_of

SEED = 1
PARTITIONS = 4
SIZES = {"short": 250_000, "full": 1_000_000}

BEGIN_MS = round(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
EVENTS_PER_S = 2_000
MAX_DELAY_MS = 3_000.0
#: The closing events come this long after the last event: far beyond any window and allowed lateness.
CLOSING_MS = 600_000

TENANTS = 10_000
ZIPF_EXPONENT = 1.1
BURSTS = 50
BURST_FACTOR = 20
BURST_MS = 20_000
#: Ranks that may burst: twenty times the rate of a larger tenant would be most of the stream.
BURST_RANKS = (50, 1_000)

ERROR_SHARE = 0.02
ERROR_STATUSES = (400, 404, 413, 422, 500, 502, 503, 529)
#: Median and sigma of the log-normal token counts.
INPUT_TOKENS, OUTPUT_TOKENS = (600.0, 1.1), (180.0, 0.9)

MODELS = ("atlas-large-2026-08", "atlas-small-2026-08", "atlas-code-2026-05")
COUNTRIES = ("US", "DE", "JP", "BR", "IN", "GB", "FR", "KR", "CA", "NL")
PLANS = ("free", "build", "scale", "enterprise")


class JobEvent(NamedTuple):
    """What the job needs of one event."""

    tenant_id: str
    time_ms: int
    status_code: int
    input_tokens: int
    output_tokens: int


class Stream(NamedTuple):
    """Events in order of arrival, as columns; ``tenants`` holds ranks, 0 the largest tenant."""

    tenants: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    statuses: NDArray[np.int64]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    simhashes: NDArray[np.uint64]

    def first(self, size: int) -> "Stream":
        """The ``size`` events that arrive first."""
        return Stream._make(column[:size] for column in self)


def draw_stream(seed: int, size: int) -> Stream:
    """A stream of ``size`` events over ``size / EVENTS_PER_S`` seconds of event time."""
    rng = np.random.default_rng(seed)
    span_ms = size * 1000 / EVENTS_PER_S
    rates = np.arange(1, TENANTS + 1) ** -ZIPF_EXPONENT
    bursting = rng.choice(np.arange(*BURST_RANKS), BURSTS, replace=False)
    burst_ms = min(BURST_MS, span_ms)
    starts = rng.uniform(0, span_ms - burst_ms, BURSTS)
    extra = (BURST_FACTOR - 1) * rates[bursting] * burst_ms
    weights = np.concatenate([rates * span_ms, extra])
    source = rng.choice(len(weights), size, p=weights / weights.sum())
    is_burst = source >= TENANTS
    burst = np.where(is_burst, source - TENANTS, 0)
    tenants = np.where(is_burst, bursting[burst], source)
    times = rng.random(size) * np.where(is_burst, burst_ms, span_ms) + np.where(is_burst, starts[burst], 0.0)
    order = np.argsort(times + rng.uniform(0, MAX_DELAY_MS, size), kind="stable")
    statuses = np.where(rng.random(size) < ERROR_SHARE, rng.choice(ERROR_STATUSES, size), 200)
    return Stream(
        tenants[order],
        (BEGIN_MS + times[order]).astype(np.int64),
        statuses,
        _tokens(rng, size, *INPUT_TOKENS),
        _tokens(rng, size, *OUTPUT_TOKENS),
        rng.integers(0, 2**64, size, dtype=np.uint64),
    )


def _tokens(rng: np.random.Generator, size: int, median: float, sigma: float) -> NDArray[np.int64]:
    return rng.lognormal(np.log(median), sigma, size).astype(np.int64) + 1


def events_of(stream: Stream) -> Iterator[JobEvent]:
    """The stream's events in order of arrival, then one closing event per partition."""
    columns = [column.tolist() for column in stream[:5]]
    for tenant, time_ms, status, inputs, outputs in zip(*columns, strict=True):
        yield JobEvent(f"tenant-{tenant:05}", time_ms, status, inputs, outputs)
    closing_ms = int(stream.times_ms.max()) + CLOSING_MS
    for tenant_id in closing_tenants():
        yield JobEvent(tenant_id, closing_ms, 200, 1, 1)


def closing_tenants() -> list[str]:
    """One tenant per partition that the job's own tenants do not include."""
    found: dict[int, str] = {}
    for number in count():
        name = f"closing-{number}"
        found.setdefault(partition_of(name, PARTITIONS), name)
        if len(found) == PARTITIONS:
            return [found[partition] for partition in range(PARTITIONS)]
    raise AssertionError


def values_of(stream: Stream) -> Iterator[tuple[JobEvent, bytes]]:
    """Each event of ``events_of`` with its record value, an event v1 as JSON of about 430 bytes."""
    closing = np.arange(PARTITIONS, dtype=np.uint64)
    simhashes = np.concatenate([stream.simhashes, closing]).tolist()
    rests: dict[str, str] = {}
    for number, (event, simhash) in enumerate(zip(events_of(stream), simhashes, strict=True)):
        rest = rests.get(event.tenant_id) or rests.setdefault(event.tenant_id, _rest_of(event.tenant_id))
        time = np.datetime64(event.time_ms, "ms")
        yield (
            event,
            (
                f'{{"id":"req-{number:08}","time":"{time}Z","tenant_id":"{event.tenant_id}",'
                f'"status_code":{event.status_code},"input_tokens":{event.input_tokens},'
                f'"output_tokens":{event.output_tokens},"latency_ms":{300 + 9 * event.output_tokens},{rest},'
                f'"prompt":{{"key_id":"k10","simhash":"{simhash:016x}","chars":{4 * event.input_tokens}}}}}'
            ).encode(),
        )


def _rest_of(tenant_id: str) -> str:
    """The fields that are the same for all events of a tenant, without braces."""
    rng = np.random.default_rng(list(tenant_id.encode()))
    number, address, printed = (int(part) for part in rng.integers(0, 2**31, 3))
    model, country, plan = (part[number % len(part)] for part in (MODELS, COUNTRIES, PLANS))
    return (
        f'"account_id":"acc-{number:08x}","model":"{model}",'
        f'"client":{{"ip_prefix":"10.{address >> 8 & 255}.{address & 255}.0/24","asn":{64512 + number % 1000},'
        f'"country":"{country}","ja4":"t13d1516h2_{printed:08x}"}},'
        f'"account":{{"plan":"{plan}","payment_fp":"{printed ^ number:08x}"}}'
    )


def fill_topic(bootstrap: str, topic: str, stream: Stream) -> None:
    """Send the stream to an existing topic, in order and acknowledged; record timestamps are event times."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2",
            "enable.idempotence": True,
            "linger.ms": 50,
            "queue.buffering.max.messages": 200_000,
            "log_level": 0,
        }
    )
    for event, value in values_of(stream):
        while True:
            try:
                producer.produce(topic, value, key=event.tenant_id.encode(), timestamp=event.time_ms)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        raise TimeoutError(f"{topic}: the broker did not take all events within a minute")
