"""Topics that every worker reads whole, from the start, without a group, before work begins: what it is told."""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service
from msgspec import Struct

from stream_app.adapters.credentials import python_security
from stream_app.adapters.operator_signatures import operator_signatures
from stream_app.detection.decode import Rejected, RejectReason
from stream_app.detection.operators import Instruction, SetPolicy
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.signed_records import ControlRecord
from stream_app.topology import TopicName

_log = logging.getLogger(__name__)

#: How long a poll waits for news; also how soon a stop is noticed.
_POLL_MS = 200
#: Pause before another try when the broker does not answer.
_RETRY_S = 1.0

Parse = Callable[[bytes], Instruction | Rejected]


class InstructionEntry(Struct, frozen=True):
    """One record, understood or refused, at its offset."""

    offset: int
    instruction: Instruction | Rejected
    original: bytes


class InstructionLog(Service):
    """Reads a topic to its end (``complete``), then follows it; ``entries`` keeps all of it in order.

    ``name`` is what journals call it. The topic has one partition and a low rate by contract, so that keeping it whole
    is cheap. ``on_entry`` is called and awaited after each batch that arrives, in order. Operator records that must be
    signed and are not are refused.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        topic: TopicName,
        parse: Parse,
        metrics: Metrics,
        on_entry: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__()
        self.entries: list[InstructionEntry] = []
        self.topic = settings.topic(topic)
        self.name = topic.partition(".")[0]
        self.complete = asyncio.Event()
        self._settings = settings
        self._parse = parse
        self._metrics = metrics
        self._on_entry = on_entry
        self._signatures = operator_signatures(settings) if topic is TopicName.OPERATOR else None
        #: Where the topic ended when it was last begun to be read.
        self.end = 0

    @Service.task
    async def _read(self) -> None:
        while not self.should_stop:
            try:
                await self._follow()
            except KafkaError as error:
                _log.warning("%s: %s; trying again", self.topic, error)
                await self.sleep(_RETRY_S)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.broker,
            enable_auto_commit=False,
            isolation_level="read_committed",
            **python_security(self._settings),
        )
        await consumer.start()
        try:
            place = TopicPartition(self.topic, 0)
            consumer.assign([place])
            end = self.end = (await consumer.end_offsets([place]))[place]
            begin = (await consumer.beginning_offsets([place]))[place]
            consumer.seek(place, max(begin, self.entries[-1].offset + 1 if self.entries else 0))
            while not self.should_stop:
                if await consumer.position(place) >= end:
                    self.complete.set()
                if records := (await consumer.getmany(place, timeout_ms=_POLL_MS)).get(place):
                    for record in records:
                        self._take(record)
                    await self._on_entry()
        finally:
            await asyncio.shield(consumer.stop())

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        offset = record.offset
        entry = InstructionEntry(offset, self._understood(record), record.value or b"")
        outcome = "rejected" if isinstance(entry.instruction, Rejected) else "accepted"
        self._metrics.instructions.labels(self.name, outcome).inc()
        match entry.instruction:
            case Rejected(reason=RejectReason.FORGED, detail=detail):
                _log.warning("%s, record %d ignored, forged: %s", self.topic, offset, detail)
            case Rejected(detail=detail):
                _log.warning("%s, record %d refused; its dead letter says why", self.topic, offset)
                # it may quote a subject
                _log.debug("%s, record %d: %s", self.topic, offset, detail)
            case SetPolicy(record=told, policy=policy):
                _log.warning("policy %s (%s) from now on, by %s", policy.version, policy.mode, told.by)
        self.entries.append(entry)

    def _understood(self, record: "ConsumerRecord[bytes, bytes]") -> Instruction | Rejected:
        if self._signatures is not None:
            content = ControlRecord(record.key or b"", record.value)
            if refusal := self._signatures.refusal(record.offset, content, record.headers):
                return Rejected(RejectReason.FORGED, refusal)
        return self._parse(record.value or b"")

    def check(self, partition: int, told: int) -> int:
        """The newest record that a partition has followed; says so if the topic no longer reaches as far."""
        if self.end <= told:
            _log.error(
                "%s ends at %d, but partition %d has followed record %d: ignored up to there",
                *(self.topic, self.end, partition, told),
            )
        return told

    def entry(self, offset: int) -> InstructionEntry | None:
        """The record at an offset, if there is one."""
        found = self.entries_after(offset - 1)[:1]
        return found[0] if found and found[0].offset == offset else None

    def entries_after(self, offset: int) -> list[InstructionEntry]:
        """The records behind an offset that have come so far."""
        return self.entries[bisect_left(self.entries, offset + 1, key=_offset) :]


def _offset(entry: InstructionEntry) -> int:
    return entry.offset
