"""When the events of a chunk count: as soon as all that they and those before them caused is acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, cast

from prometheus_client import CollectorRegistry

from stream_app.adapters.outboxes import Outbox
from stream_app.adapters.transactions import PartitionProducer
from stream_app.detection.effects import ForgetDecision, Tally
from stream_app.metrics import Metrics

EFFECT = ForgetDecision("tenant:a")


class SlowBroker:
    """Acknowledges a transaction once it may."""

    def __init__(self) -> None:
        self.may_answer = Event()
        self.sent = 0

    def send(self, records: list[Any]) -> None:
        assert self.may_answer.wait(20)
        self.sent += len(records)


class Desk:
    """An outbox before such a broker, and its metrics."""

    def __init__(self) -> None:
        self.broker = SlowBroker()
        self.registry = CollectorRegistry()
        self.errors: list[Exception] = []

    def run(self, scene: Callable[[Outbox], Awaitable[None]]) -> None:
        async def play() -> None:
            with ThreadPoolExecutor(1) as threads:
                outbox = Outbox(
                    records_of=lambda _effect, _now_ms: [cast("Any", None)],
                    producer=cast("PartitionProducer", self.broker),
                    threads=threads,
                    metrics=Metrics(self.registry),
                    on_error=self.errors.append,
                )
                await scene(outbox)
                await outbox.wait_until_sent()

        asyncio.run(play())
        assert self.errors == []

    def counted(self) -> float | None:
        return self.registry.get_sample_value("stillwatch_event_latency_seconds_count")


def test_events_that_cause_nothing_count_at_once() -> None:
    desk = Desk()

    async def scene(outbox: Outbox) -> None:
        outbox.add([], Tally(applied=3), 1_000)
        assert desk.counted() == 3
        assert outbox.unsent_s == 0

    desk.run(scene)


def test_events_wait_for_what_they_caused_and_for_what_those_before_did() -> None:
    desk = Desk()

    async def scene(outbox: Outbox) -> None:
        outbox.add([EFFECT], Tally(applied=3), 1_000)
        await asyncio.sleep(0)
        outbox.add([], Tally(applied=4), 2_000)
        await asyncio.sleep(0)
        assert desk.counted() == 0
        assert outbox.unsent_s > 0
        desk.broker.may_answer.set()
        await outbox.wait_until_sent()
        assert (desk.counted(), desk.broker.sent) == (7, 1)  # not only when a next chunk comes
        assert outbox.unsent_s == 0

    desk.run(scene)
