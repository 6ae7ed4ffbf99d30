"""The partitions this worker owns at the moment, and the order in which anything may touch them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from faust.types import AppT, StreamT, TableT

from stream_app.adapters.operator_log import OperatorEntry, OperatorLog
from stream_app.adapters.partitions import Event, OwnedPartition
from stream_app.adapters.producing import EffectProducer
from stream_app.detection.policy import Policy
from stream_app.metrics import Metrics

_log = logging.getLogger(__name__)


#: A live broker takes a checkpoint in tens of milliseconds; beyond this a stop would rather be done.
HAND_OVER_S = 5.0


class Ownership:
    """Brings source events, operator records and rebalances to the partitions one at a time.

    A partition is taken over once it is assigned and recovered, at the latest with its first event: it reads its state
    from the table and is shown the whole operator log. All are handed over at every rebalance. Source events are
    acknowledged on ``stream``.
    """

    def __init__(
        self,
        *,
        app: AppT,
        topic: str,
        partitions: int,
        policy: Policy,
        table: TableT[bytes, bytes],
        producer: EffectProducer,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._topic = topic
        self._partition_count = partitions
        self._policy = policy
        self._table = table
        self._producer = producer
        self._metrics = metrics
        self._partitions: dict[int, OwnedPartition] = {}
        self._lock = asyncio.Lock()
        self.operator_log: OperatorLog | None = None
        self.stream: StreamT[bytes] | None = None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One at a time; an error that gets here is our own fault and ends the worker, so that no event is skipped."""
        async with self._lock:
            try:
                yield
            except Exception as error:
                self._partitions = {}
                await self._app.crash(error)
                raise

    async def wait_for_operator_log(self) -> None:
        """Return once the operator topic has been read to its end."""
        if self.operator_log:
            await self.operator_log.complete.wait()

    async def apply(self, events: Sequence[Event]) -> None:
        """Apply a chunk in order, each partition's part by itself; events of an earlier assignment are dropped."""
        async with self._turn():
            by_partition: dict[int, list[Event]] = {}
            for event in events:
                if event.message.generation_id == self._app.consumer_generation_id:
                    by_partition.setdefault(event.message.partition, []).append(event)
            for number, part in by_partition.items():
                await (await self._owned(number)).apply(part)
                behind = (self._app.consumer.highwater(part[-1].message.tp) or 0) - part[-1].message.offset - 1
                self._metrics.lag.labels(str(number)).set(max(behind, 0))

    async def take_over(self) -> None:
        """Take over what has been assigned and recovered since the last call."""
        if self._app.rebalancing or not (self.operator_log and self.operator_log.complete.is_set()):
            return
        async with self._turn():
            for place in sorted(self._app.consumer.assignment()):
                if place.topic == self._topic:
                    await self._owned(place.partition)

    async def checkpoint(self) -> None:
        """Publish changed states of all partitions and acknowledge the events behind them."""
        async with self._turn():
            for partition in self._partitions.values():
                if self.stream:
                    await partition.checkpoint(self.stream)

    async def hand_over(self) -> None:
        """A last checkpoint, written and committed, before partitions are taken from this worker or it stops.

        If the broker does not take it in time it is given up, and the next owner repeats what it would have committed.
        """
        try:
            async with asyncio.timeout(HAND_OVER_S):
                await self.checkpoint()
                await self._app.producer.buffer.flush()
                await self._app.producer.flush()
                await self._app.consumer.commit()
        except TimeoutError:
            _log.warning("no last checkpoint within %.0f s; the next owner repeats what it held", HAND_OVER_S)
        for number in self._partitions:
            self._metrics.lag.remove(str(number))
        self._partitions = {}

    async def instruct(self, entry: OperatorEntry) -> None:
        """Show an operator record to all partitions."""
        async with self._turn():
            for partition in self._partitions.values():
                await partition.instruct(entry, self._log_topic)

    @property
    def _log_topic(self) -> str:
        return self.operator_log.topic if self.operator_log else ""

    async def _owned(self, number: int) -> OwnedPartition:
        partition = self._partitions.get(number)
        if partition is None:
            partition = OwnedPartition(
                topic=self._topic,
                partition=number,
                partitions=self._partition_count,
                policy=self._policy,
                table=self._table,
                perform=self._producer.perform,
                metrics=self._metrics,
            )
            for entry in self.operator_log.entries if self.operator_log else ():
                await partition.instruct(entry, self._log_topic)
            self._partitions[number] = partition
            _log.info("partition %d: taken over at offset %d", number, partition.position)
        return partition
