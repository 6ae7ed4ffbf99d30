"""Topics as a careful consumer sees them: committed records only, from the beginning, to the end of the moment."""

import time
from types import TracebackType
from typing import Self, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.brokers import Record

ANSWER_S, ASK_S = 30.0, 2.0
_LATEST = OffsetSpec.latest()

Headers = list[tuple[str, bytes | None]]


class CommittedRecords:
    """One topic's committed records; the same reader goes on where it stopped."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "faults",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        # Asked through the consumer, the broker would first let its fetch wait.
        self._bootstrap = bootstrap
        self._admin = self._new_admin()
        self._places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)]
        self._consumer.assign(self._places)
        self._positions = dict.fromkeys(range(partitions), 0)
        self.records: list[Record] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def read_to_end(self, *, is_quiet: bool = False) -> list[Record]:
        """The records that are new since the last call, in each partition's order. Raises ``KafkaException``.

        Where everybody has ended his transactions (``is_quiet``), the end is that of the log: a producer is told so
        before the partitions have the markers that let others read on.
        """
        begun = len(self.records)
        deadline = time.monotonic() + ANSWER_S
        ends = self._ends(deadline, IsolationLevel.READ_UNCOMMITTED if is_quiet else IsolationLevel.READ_COMMITTED)
        while any(self._positions[number] < end for number, end in ends.items()):
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{self._positions} instead of {ends}"))
            if first := self._consumer.poll(0.1):
                for message in (first, *self._consumer.consume(5_000, 0)):
                    self._take(message)
                deadline = time.monotonic() + ANSWER_S
        return self.records[begun:]

    def _ends(self, deadline: float, isolation: IsolationLevel) -> dict[int, int]:
        """End offsets; behind those of committed records there may be transactions that are still open."""
        wanted = dict.fromkeys(self._places, _LATEST)
        while True:
            try:
                answers = self._admin.list_offsets(wanted, isolation_level=isolation, request_timeout=ASK_S)
                return {place.partition: answer.result().offset for place, answer in answers.items()}
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                self._admin = self._new_admin()  # the old one may go on asking a leader that is none any more
                time.sleep(0.2)

    def _new_admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self._bootstrap, "reconnect.backoff.max.ms": 500, "log_level": 0})

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            return  # the client tries again by itself
        number, offset = message.partition() or 0, message.offset() or 0
        if error is None:
            _, timestamp_ms = message.timestamp()
            headers = cast("Headers", message.headers() or [])
            self.records.append(Record(number, offset, message.key(), message.value(), headers, timestamp_ms))
            offset += 1
        self._positions[number] = max(self._positions[number], offset)
