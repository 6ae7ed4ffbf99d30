"""The one producer of a partition: all it sends is transactional, and it fences every former owner's."""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream_app.adapters.admission import RefusedError
from stream_app.adapters.clients import ANSWER_S, AbandonedError, client_config
from stream_app.adapters.records import OutgoingRecord
from stream_app.detection.state import PARTITION_KEY
from stream_app.settings import Settings

_log = logging.getLogger(__name__)

#: First and longest pause between tries while the broker does not take our records.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.5, 10.0
#: The coordinator ends a transaction that is open this long; an outage in mid-transaction may last as long.
_TRANSACTION_TIMEOUT_MS = 60_000
#: Above the largest original that a dead letter carries and any state; the broker's topics have limits of their own.
_MAX_MESSAGE_BYTES = 4 << 20


def _transactional(settings: Settings, partition: int) -> dict[str, Any]:
    return {
        "transactional.id": f"{settings.stage_group}-{partition}",
        "transaction.timeout.ms": _TRANSACTION_TIMEOUT_MS,
    }


class FencedError(Exception):
    """Another worker owns the partition now; nothing more can be written for it from here."""


class PartitionProducer:
    """Sends what one partition causes, in transactions, and waits for them; call it from a thread.

    ``transactional.id`` is group and partition: whoever opens it last is the owner, and the broker refuses everybody
    before, whatever they still hold in their buffers. While the broker does not take a transaction it is aborted and
    sent again, for ever, until ``abandon``. The embedded broker has no transactions worth the name (its readers see
    broken checksums): there, records are only flushed.
    """

    def __init__(self, settings: Settings, partition: int) -> None:
        self.changelog_end = 0
        self._settings = settings
        self._partition = partition
        self._abandoned = Event()
        self._producer = Producer(
            client_config(settings)
            | ({} if settings.embedded else _transactional(settings, partition))
            | {
                "partitioner": "murmur2",
                "message.max.bytes": _MAX_MESSAGE_BYTES,
                "linger.ms": 5,
            }
        )

    def open(self, abandoned: Event) -> None:
        """Fence former owners and end what they left open.

        Raises ``FencedError`` or ``AbandonedError``, and ``RefusedError`` when our user may not.
        """
        if self._settings.embedded:
            return
        self._abandoned = abandoned
        self._retry("open", lambda: self._producer.init_transactions(ANSWER_S))
        self._abandoned = Event()

    def abandon(self) -> None:
        """Let a transaction under way end with ``AbandonedError`` instead of trying for ever."""
        self._abandoned.set()

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """One transaction with these records. Raises ``FencedError`` or ``AbandonedError``."""
        self._transact(lambda: self._produce(records))

    def checkpoint(self, records: Sequence[OutgoingRecord], changes: Mapping[str, bytes | None]) -> None:
        """One transaction with the records and the changed states; all of them, or nothing.

        ``changelog_end`` is then the offset behind the last state. Raises ``FencedError`` or ``AbandonedError``. The
        group's offset is no part of it: once a broker has been restarted, librdkafka may wait for ever to add it.
        """

        def produce() -> None:
            self._produce(records)
            self._produce_changes(changes)

        self._transact(produce)

    def _transact(self, produce: Callable[[], None]) -> None:
        if self._settings.embedded:
            produce()
            while self._producer.flush(ANSWER_S) and not self._abandoned.is_set():
                pass
            return

        def attempt() -> None:
            self._producer.begin_transaction()
            try:
                produce()
                self._call(lambda: self._producer.commit_transaction(ANSWER_S))
            except KafkaException as failure:
                if not failure.args[0].fatal():
                    self._call(lambda: self._producer.abort_transaction(ANSWER_S))
                raise

        self._retry("write", attempt)

    def _retry(self, verb: str, attempt: Callable[[], None]) -> None:
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                attempt()
            except KafkaException as failure:
                error: KafkaError = failure.args[0]
                if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                    raise self._refused() from failure
                if error.fatal():
                    raise FencedError(f"partition {self._partition}: {error.str()}") from failure
                if pause_s == _FIRST_RETRY_S:
                    _log.warning("partition %d: cannot %s yet: %s", self._partition, verb, error.str())
                if self._abandoned.wait(pause_s):
                    raise AbandonedError from failure
                pause_s = min(2 * pause_s, _LONGEST_RETRY_S)
            else:
                return

    def _refused(self) -> RefusedError:
        who = self._settings.sasl_username or "we"
        name = f"{self._settings.stage_group}-{self._partition}"
        return RefusedError(f"{self._settings.broker}: {who} may not Write transactional id {name}")

    def _call(self, step: Callable[[], None]) -> None:
        """One step of a transaction, again and again while it only takes long."""
        while True:
            try:
                step()
            except KafkaException as failure:
                if not failure.args[0].retriable() or self._abandoned.is_set():
                    raise
            else:
                return

    def _produce(self, records: Sequence[OutgoingRecord]) -> None:
        for record in records:
            self._put(
                self._settings.topic(record.topic),
                record.key,
                record.value,
                headers=record.headers,
                partition=self._partition if record.is_by_partition else -1,
            )

    def _produce_changes(self, changes: Mapping[str, bytes | None]) -> None:
        topic = self._settings.topic(self._settings.stage_topics.state)
        for key, encoded in changes.items():
            follow = {"on_delivery": self._note_end} if key == PARTITION_KEY else {}
            self._put(topic, key.encode(), encoded, partition=self._partition, **follow)

    def _put(self, topic: str, key: bytes | None, value: bytes | None, **options: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, **options)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _note_end(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.changelog_end = (message.offset() or 0) + 1
