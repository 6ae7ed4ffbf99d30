"""The source topic, read by librdkafka at the offsets we say: no group, no position but our own."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_app.adapters.clients import ANSWER_S, new_consumer, record_of
from stream_app.detection.records import Record
from stream_app.settings import Settings

_log = logging.getLogger(__name__)

#: Records read at once over all partitions: enough to spread the cost of handing them over.
_BATCH = 2_000
_POLL_S = 0.1
_LOOK_S = 1.0


class SourceChangedError(Exception):
    """The source topic is not the one that the states belong to: recreated, cut off, or with other partitions."""


class Chunk(NamedTuple):
    """A run of one partition's records, from ``start`` to before ``end``.

    Offsets in between without a record were never ours to see (markers, aborted or compacted records). ``lost`` counts
    those that were: the log began after ``start``.
    """

    partition: int
    start: int
    end: int
    records: list[Record]
    lost: int = 0


Deliver = Callable[[list[Chunk]], Coroutine[Any, Any, None]]


class SourceReader(Thread):
    """Reads assigned partitions in a thread of its own; ``deliver`` is run on the loop, and waited for.

    That wait is the backpressure: behind it only librdkafka's queues fill. Each chunk begins where the one before of
    its partition ended, or where ``assign`` said. ``ends`` has the offset behind the newest record known of each
    partition. Nobody else calls the consumer: its client lets one thread in at a time, and this one never leaves.
    """

    def __init__(self, settings: Settings, deliver: Deliver, on_error: Callable[[Exception], None]) -> None:
        super().__init__(name="source-reader", daemon=True)
        self._consumer: Consumer = new_consumer(settings)
        self.ends: dict[int, int] = {}
        self._topic = settings.topic(settings.stage_topics.source)
        self._deliver = deliver
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._next: dict[int, int] = {}
        self._behind: dict[int, int] = {}
        self._orders: SimpleQueue[tuple[int, int | None]] = SimpleQueue()
        self._stopping = Event()
        self._looked_s = 0.0

    def assign(self, partition: int, offset: int) -> None:
        """Read a partition from an offset on, whether it is being read or not; returns at once."""
        self._orders.put((partition, offset))

    def unassign(self, partition: int) -> None:
        """Read a partition no more; chunks under way may still be delivered."""
        self._orders.put((partition, None))

    def repair(self, partition: int, position: int) -> bool:
        """Read again from a position that is behind what was delivered, as it was a look ago; whether that was so.

        For a partition that has nothing to do: the next chunk would show that one was lost before it, but after the
        last there is none. Faust empties its channels in every rebalance, and cancels who waits for room in them.
        """
        was, self._behind[partition] = self._behind.get(partition), position
        if position != was or position >= self._next.get(partition, position):
            return False
        _log.warning("partition %d: nothing came of what follows %d, reading again", partition, position)
        self.assign(partition, position)
        return True

    def stop(self) -> None:
        """End reading."""
        self._stopping.set()

    def run(self) -> None:
        """Read until stopped."""
        try:
            while not self._stopping.is_set():
                self._obey()
                if chunks := self._read():
                    self._hand_over(chunks)
                self._look_at_ends()
        except Exception as error:  # noqa: BLE001 - told to the loop, which ends the worker
            self._loop.call_soon_threadsafe(self._on_error, error)
        finally:
            self._consumer.close()

    def _look_at_ends(self) -> None:
        if time.monotonic() - self._looked_s < _LOOK_S:
            return
        self._looked_s = time.monotonic()
        for partition in self._next:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            self.ends[partition] = end

    def _hand_over(self, chunks: list[Chunk]) -> None:
        delivery = asyncio.run_coroutine_threadsafe(self._deliver(chunks), self._loop)
        while not self._stopping.is_set():
            try:
                delivery.result(_POLL_S)
            except TimeoutError:
                continue
            except CancelledError:  # Faust empties a full channel; ``repair`` or the next chunk notices the gap
                _log.info("a rebalance gave up a delivery; what it held is read again")
            return

    def _obey(self) -> None:
        while True:
            try:
                partition, offset = self._orders.get_nowait()
            except Empty:
                return
            if self._next.pop(partition, None) is not None:
                self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])
            if offset is not None:
                self._next[partition] = offset
                self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])

    def _read(self) -> list[Chunk]:
        first = self._consumer.poll(_POLL_S)
        if first is None:
            return []
        runs: dict[int, list[Record]] = {}
        chunks: list[Chunk] = []
        for message in (first, *self._consumer.consume(_BATCH - 1, 0)):
            partition = message.partition()
            if partition not in self._next:
                continue
            if message.error() is not None:
                chunks += self._meet(message, partition)
            elif (run := runs.get(partition)) is not None:
                run.append(record_of(message))
            else:
                runs[partition] = [record_of(message)]
        return [self._chunk(partition, run) for partition, run in runs.items()] + chunks

    def _chunk(self, partition: int, records: Sequence[Record]) -> Chunk:
        start, end = self._next[partition], records[-1].offset + 1
        self._next[partition] = end
        return Chunk(partition, start, end, list(records))

    def _meet(self, message: Message, partition: int) -> list[Chunk]:
        """An error instead of a record; the only one we can do something about is an offset that is not there."""
        error = message.error()
        if error is None or error.code() not in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            _log.debug("partition %d: %s", partition, error)
            return []
        place = TopicPartition(self._topic, partition)
        position = self._next[partition]
        try:
            begin, end = self._consumer.get_watermark_offsets(place, timeout=ANSWER_S)
        except KafkaException:
            self.assign(partition, position)
            return []
        if position > end:
            raise SourceChangedError(
                f"{self._topic}/{partition} ends at {end}, before our position {position}: it was recreated "
                "or cut off. Nothing is guessed: remove the group's state, or start with another topic prefix"
            )
        self.assign(partition, max(begin, position))
        if begin <= position:
            return []
        return [Chunk(partition, position, begin, [], lost=begin - position)]
