"""Job J1 in Bytewax: sliding windows on an event clock, then a stateful score per tenant."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow

SIZE, STEP, LATENESS = timedelta(seconds=60), timedelta(seconds=10), timedelta(seconds=5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Event = dict[str, Any]
Sums = tuple[int, int, int]


def time_of(event: Event) -> datetime:
    """Event time."""
    return datetime.fromisoformat(event["time"])


def add(sums: Sums, event: Event) -> Sums:
    """Count, tokens and errors with one event more."""
    tokens = event["input_tokens"] + event["output_tokens"]
    return sums[0] + 1, sums[1] + tokens, sums[2] + (event["status_code"] >= 400)


def merge(left: Sums, right: Sums) -> Sums:
    """Sums of both."""
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


@dataclass
class Scorer(op.StatefulBatchLogic[tuple[int, Sums], dict[str, Any], tuple[int, float, float]]):
    """Exponentially weighted moments of one tenant's counts; windows that close together come in any order."""

    closed: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def on_batch(self, values: list[tuple[int, Sums]]) -> tuple[Iterable[dict[str, Any]], bool]:
        """Score the windows in order of their ends."""
        decided = []
        for window, (count, tokens, errors) in sorted(values):
            distance = count - self.mean
            z = distance / sqrt(self.variance + 1)
            if self.closed >= 10 and z >= 3:
                end_ms = (window * STEP + SIZE) // timedelta(milliseconds=1)
                decided.append({"window_end_ms": end_ms, "count": count, "tokens": tokens, "errors": errors, "z": z})
            self.mean += 0.05 * distance
            self.variance = 0.95 * (self.variance + 0.05 * distance * distance)
            self.closed += 1
        return decided, op.StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[int, float, float]:
        """What recovery needs."""
        return self.closed, self.mean, self.variance


def record(keyed: tuple[str, dict[str, Any]]) -> KafkaSinkMessage[bytes, bytes]:
    """A decision as a record of the output topic."""
    tenant_id, decision = keyed
    return KafkaSinkMessage(tenant_id.encode(), orjson.dumps({"tenant_id": tenant_id, **decision}))


def dataflow(bootstrap: str, source: str, sink: str) -> Dataflow:
    """The job, which ends with its input."""
    flow = Dataflow("j1")
    brokers = [bootstrap]
    messages = kop.input("requests", flow, brokers=brokers, topics=[source], tail=False)
    events = op.map("decode", messages.oks, lambda message: orjson.loads(message.value or b""))
    tenants = op.key_on("tenant", events, lambda event: event["tenant_id"])
    clock = win.EventClock(time_of, LATENESS, now_getter=lambda: EPOCH, to_system_utc=lambda _: None)
    windower = win.SlidingWindower(length=SIZE, offset=STEP, align_to=EPOCH)
    windows = win.fold_window("windows", tenants, clock, windower, lambda: (0, 0, 0), add, merge, ordered=False)
    decisions = op.stateful_batch("score", windows.down, lambda resumed: Scorer(*(resumed or ())))
    kop.output("decisions", op.map("encode", decisions, record), brokers=brokers, topic=sink)
    return flow
