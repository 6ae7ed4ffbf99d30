"""What one partition has still to send, one transaction after the other."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import NamedTuple

from stream_app.adapters.records import OutgoingRecord
from stream_app.adapters.transactions import PartitionProducer
from stream_app.detection.decisions import Decision
from stream_app.detection.effects import Effect, EmitDecision, Tally
from stream_app.metrics import Metrics, Waited

_log = logging.getLogger(__name__)

#: The records that perform an effect at a time (processing time, in milliseconds).
RecordsOf = Callable[[Effect, int], list[OutgoingRecord]]
#: Effects that may wait for the broker before the source has to.
_MAX_WAITING = 5_000


class Checkpoint(NamedTuple):
    """Changed states of a partition, all of them at one source position; begun at a monotonic time."""

    changes: dict[str, bytes | None]
    position: int
    began_s: float


class Outbox:
    """Sends effects at once, and checkpoints together with every effect that is older.

    So no state is ever ahead of its decisions. ``position`` is the source position of the last checkpoint committed
    here. ``on_error`` is told what ends a transaction for good.
    """

    def __init__(
        self,
        *,
        records_of: RecordsOf,
        producer: PartitionProducer,
        threads: Executor,
        metrics: Metrics,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._records_of = records_of
        self._producer = producer
        self.position: int | None = None
        self._threads = threads
        self._metrics = metrics
        self._on_error = on_error
        self._effects: list[Effect] = []
        self._tally = Tally()
        self._waited: list[Waited] = []
        self._began_s: float | None = None
        self._checkpoint: Checkpoint | None = None
        self._transaction = asyncio.Lock()
        self._sending: asyncio.Task[None] | None = None

    def add(self, effects: list[Effect], tally: Tally, caused_ms: int | None = None) -> None:
        """Send effects; their events are counted once all effects before have been acknowledged.

        ``caused_ms`` is the Kafka timestamp of the records that brought the events.
        """
        if effects and self._began_s is None:
            self._began_s = time.monotonic()
        self._effects += effects
        self._tally.add(tally)
        if caused_ms is not None:
            self._waited.append(Waited(caused_ms, tally.applied + tally.repeated + tally.rejected))
        self._start()

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Send a checkpoint; only while ``has_checkpoint`` is false."""
        self._checkpoint = checkpoint
        self._start()

    @property
    def has_checkpoint(self) -> bool:
        """Whether a checkpoint is waiting or under way."""
        return self._checkpoint is not None

    @property
    def unsent_s(self) -> float:
        """How long the oldest effect that is not acknowledged has waited."""
        return 0.0 if self._began_s is None else time.monotonic() - self._began_s

    async def wait_for_room(self) -> None:
        """Return once few enough effects wait."""
        while len(self._effects) > _MAX_WAITING and self._sending:
            await asyncio.wait([self._sending])

    async def wait_until_sent(self) -> None:
        """Return once nothing waits, or what was under way has failed."""
        if self._sending:
            await asyncio.wait([self._sending])

    async def send_now(self, records: list[OutgoingRecord]) -> None:
        """Return once these records are committed."""
        async with self._transaction:
            await self._in_thread(lambda: self._producer.send(records))

    def _start(self) -> None:
        if self._sending is None and (self._effects or self._checkpoint):
            self._sending = asyncio.create_task(self._send_all())
        elif self._sending is None:
            self._count_events(*self._take_counts())

    async def _send_all(self) -> None:
        try:
            while self._effects or self._checkpoint:
                async with self._transaction:
                    await self._send()
            self._count_events(*self._take_counts())  # of chunks that came meanwhile and caused nothing
        except Exception as error:  # noqa: BLE001 - told to the owner, which drops the partition or ends the worker
            self._on_error(error)
        finally:
            self._sending = None

    async def _send(self) -> None:
        effects, self._effects = self._effects, []
        counts, checkpoint = self._take_counts(), self._checkpoint
        now_ms = round(time.time() * 1000)
        await self._in_thread(lambda: self._transact(effects, now_ms, checkpoint))
        if checkpoint is not None:
            self._checkpoint = None
            self.position = checkpoint.position
            self._metrics.partitions.checkpoint_seconds.observe(time.monotonic() - checkpoint.began_s)
        self._began_s = time.monotonic() if self._effects else None
        self._count_events(*counts)

    def _transact(self, effects: list[Effect], now_ms: int, checkpoint: Checkpoint | None) -> None:
        """Runs in a thread, where records are made and counted, too: thousands of effects would hold up the loop."""
        records = [record for effect in effects for record in self._records_of(effect, now_ms)]
        if checkpoint is None:
            self._producer.send(records)
        else:
            self._producer.checkpoint(records, checkpoint.changes)
            size_bytes = sum(len(encoded) for encoded in checkpoint.changes.values() if encoded is not None)
            self._metrics.partitions.checkpoint_bytes.inc(size_bytes)
        self._count(effects)

    def _count(self, effects: list[Effect]) -> None:
        acknowledged_s = time.time()
        for effect in effects:
            self._metrics.count_effect(effect, acknowledged_s)
            if isinstance(effect, EmitDecision) and _log.isEnabledFor(logging.DEBUG):
                _log_decision(effect.decision)

    def _count_events(self, tally: Tally, waited: list[Waited]) -> None:
        self._metrics.count_events(tally, waited, time.time())

    def _take_counts(self) -> tuple[Tally, list[Waited]]:
        counts, self._tally, self._waited = (self._tally, self._waited), Tally(), []
        return counts

    def _in_thread(self, work: Callable[[], None]) -> Awaitable[None]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


def _log_decision(decision: Decision) -> None:
    """Says whom a decision is about, so never above debug."""
    ids = {"decision_id": decision.decision_id, "campaign_id": decision.campaign_id or None, "key": decision.key}
    what = {"action": decision.action.value, "simulated": decision.simulated}
    _log.debug("decided", extra=ids | what | {"reasons": [reason.code for reason in decision.reasons]})
