"""One owned partition: the core, its encoded states in the table, and what has not been committed yet."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import cast

from faust.types import EventT, StreamT, TableT

from stream_app.adapters.operator_log import OperatorEntry
from stream_app.detection.detector import Detector, Record
from stream_app.detection.effects import Effect
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy
from stream_app.detection.state import PARTITION_KEY
from stream_app.metrics import Metrics

_log = logging.getLogger(__name__)

Event = EventT[bytes]
Perform = Callable[[Sequence[Effect]], Awaitable[None]]


class PartitionStates(MutableMapping[str, bytes]):
    """Encoded states of one partition as a view on the table's memory; keys carry the partition only for its own state.

    Writing goes to memory; ``publish`` sends a state to the changelog.
    """

    def __init__(self, table: TableT[bytes, bytes], partition: int, partitions: int) -> None:
        self._table = table
        self._data = table.data
        self._partition = partition
        self._partitions = partitions

    def _key(self, key: str) -> bytes:
        return f"{PARTITION_KEY}/{self._partition}".encode() if key == PARTITION_KEY else key.encode()

    def __getitem__(self, key: str) -> bytes:
        encoded: bytes = self._data[self._key(key)]
        return encoded

    def __setitem__(self, key: str, encoded: bytes) -> None:
        self._data[self._key(key)] = encoded

    def __delitem__(self, key: str) -> None:
        del self._data[self._key(key)]

    def __iter__(self) -> Iterator[str]:
        for key in list(self._data):
            name = key.decode()
            if name.startswith(PARTITION_KEY):
                if name == f"{PARTITION_KEY}/{self._partition}":
                    yield PARTITION_KEY
            elif partition_of(name, self._partitions) == self._partition:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def publish(self, key: str, encoded: bytes) -> None:
        """Send a state to the partition's changelog."""
        self._table.send_changelog(self._partition, self._key(key), encoded)


class OwnedPartition:
    """A detector and the events it has applied since its last checkpoint.

    ``apply`` performs effects at once; ``checkpoint`` publishes changed states, and only then acknowledges the events
    behind them. Events that come again after a crash between the two are skipped tenant by tenant.
    """

    def __init__(
        self,
        *,
        topic: str,
        partition: int,
        partitions: int,
        policy: Policy,
        table: TableT[bytes, bytes],
        perform: Perform,
        metrics: Metrics,
    ) -> None:
        self._states = PartitionStates(table, partition, partitions)
        self._detector = Detector(topic, partition, partitions, policy, self._states)
        self._number = partition
        self._perform = perform
        self._metrics = metrics
        self._unacknowledged: list[Event] = []

    @property
    def position(self) -> int:
        """Offset of the next source record expected."""
        return self._detector.position

    async def apply(self, events: Sequence[Event]) -> None:
        """Apply one chunk of source events in offset order."""
        records = [record_of(event) for event in events]
        self._count_missed(records)
        effects = self._detector.handle(records)
        self._unacknowledged += events
        await self._perform(effects)
        self._metrics.count_events(self._detector.take_tally())

    def _count_missed(self, records: Sequence[Record]) -> None:
        expected = self.position
        for record in records:
            if missed := max(record.offset - expected, 0) if expected else 0:
                _log.error("partition %d: %d records before offset %d never came", self._number, missed, record.offset)
                self._metrics.missed.inc(missed)
            expected = max(expected, record.offset + 1)

    async def instruct(self, entry: OperatorEntry, topic: str) -> None:
        """Take in one operator record."""
        await self._perform(self._detector.instruct(entry.offset, entry.instruction, entry.original, topic))

    async def checkpoint(self, stream: StreamT[bytes]) -> None:
        """Catch up with what is due, publish changed states, and acknowledge the events behind them."""
        started = time.perf_counter()
        await self._perform(self._detector.advance(round(time.time() * 1000)))
        for key, encoded in self._detector.take_changes().items():
            self._states.publish(key, encoded)
        events, self._unacknowledged = self._unacknowledged, []
        for event in events:
            await stream.ack(event)
        self._metrics.checkpoint_seconds.observe(time.perf_counter() - started)


def record_of(event: Event) -> Record:
    """The core's record of a Faust event; a header without a value counts as empty."""
    message = event.message
    headers: dict[str, bytes] = {name: value or b"" for name, value in cast("list[tuple[str, bytes]]", message.headers)}
    return Record(message.offset, round(message.timestamp * 1000), message.value, headers)
