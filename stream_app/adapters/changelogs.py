"""The changelog of tenant states: read to its end at a takeover, followed while on standby."""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread

from confluent_kafka import Message, TopicPartition
from msgspec import Struct, field

from stream_app.adapters.clients import new_consumer, read_to_end
from stream_app.detection.state import StateError
from stream_app.settings import Settings

_log = logging.getLogger(__name__)

#: A person who waits wants to see that something happens.
_PROGRESS_S = 2.0


class ChangelogCopy(Struct):
    """A partition's changelog as a mapping: encoded states by key, and the next offset to read.

    ``check`` raises ``StateError`` for a key's state that cannot be read.
    """

    check: Callable[[str, bytes], None]
    states: dict[str, bytes] = field(default_factory=dict)
    end: int = 0

    def take(self, message: Message) -> None:
        """Apply one changelog record. Raises ``StateError`` for one that this program did not write."""
        key, value = (message.key() or b"").decode(), message.value()
        if value is None:
            self.states.pop(key, None)
            return
        try:
            self.check(key, value)
        except StateError as error:
            place = f"{message.topic()}/{message.partition()}/{message.offset()}"
            raise StateError(f"{place} (key {key!r}): {error}") from error
        self.states[key] = value


def recover(
    settings: Settings, partition: int, copy: ChangelogCopy, abandoned: Event, on_remaining: Callable[[int], None]
) -> None:
    """Bring a copy up to the end of a changelog whose writers are fenced.

    A million states take a few seconds, during which the log tells how far it is. Raises ``AbandonedError`` and
    ``StateError``.
    """
    topic = settings.topic(settings.stage_topics.state)
    told_s = time.monotonic()
    for batch, position, end in read_to_end(settings, topic, partition, copy.end, abandoned):
        for message in batch:
            copy.take(message)
        copy.end = position
        on_remaining(max(end - position, 0))
        if time.monotonic() - told_s > _PROGRESS_S:
            told_s = time.monotonic()
            _log.info("partition %d: recovering, %s of %s changelog records", partition, f"{position:,}", f"{end:,}")


class Standby(Thread):
    """Follows the changelogs of partitions that other workers own, so that a takeover has little left to read."""

    def __init__(
        self, settings: Settings, copies: dict[int, ChangelogCopy], on_error: Callable[[Exception], None]
    ) -> None:
        super().__init__(name="standby", daemon=True)
        self._on_error = on_error
        self._topic = settings.topic(settings.stage_topics.state)
        self._copies = copies
        self._consumer = new_consumer(settings, **{"auto.offset.reset": "earliest"})
        self._followed: set[int] = set()
        self._is_changed = False
        self._lock = Lock()
        self._stopping = Event()

    def follow(self, partitions: set[int]) -> None:
        """From now on follow these and touch no other copy; returns at once."""
        with self._lock:
            self._followed = partitions
            self._is_changed = True

    def stop(self) -> None:
        """End following."""
        self._stopping.set()

    def run(self) -> None:
        """Follow until stopped."""
        try:
            while not self._stopping.is_set():
                self._assign_changed()
                if self._followed:
                    self._take(self._consumer.consume(1_000, 0.5))
                else:
                    self._stopping.wait(0.5)
        except StateError as error:
            self._on_error(error)
        finally:
            self._consumer.close()

    def _assign_changed(self) -> None:
        with self._lock:
            if self._is_changed:
                self._is_changed = False
                places = [TopicPartition(self._topic, number, self._copies[number].end) for number in self._followed]
                self._consumer.assign(places)

    def _take(self, messages: list[Message]) -> None:
        with self._lock:
            for message in messages:
                number = message.partition() or 0
                if message.error() is None and number in self._followed:
                    copy = self._copies[number]
                    copy.take(message)
                    copy.end = (message.offset() or 0) + 1
