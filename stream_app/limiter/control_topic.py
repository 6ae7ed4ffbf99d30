"""Keeps a limiter's table equal to the control topic, and heeds the switch on the operator topic.

Both are read from the beginning, then followed.
"""

import time
from collections.abc import Mapping
from threading import Event, Thread
from types import MappingProxyType
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError

from stream_app.limiter.checks import Limiter
from stream_app.limiter.switches import read_switch
from stream_app.signatures import SignatureRefusedError, Verifier
from stream_app.signed_records import ControlRecord, OperatorSignatures, signed_ms

#: How often the table is compared with the end of the log, which is also how fine its age is measured.
ROUND_S = 1.0

#: Expired decisions linger this long at most; a sweep of 100,000 rows takes some 30 ms.
SWEEP_S = 10.0

#: A broker that has not answered by then counts as lost.
ANSWER_TIMEOUT_MS = 5_000

#: Requests of this version are answered by Kafka 2.0 to 4.1 and by the embedded broker, which fails the probe that
#: kafka-python would make without it.
API_VERSION = (2, 0)

#: How late a new partition may be noticed.
METADATA_MAX_AGE_MS = 30_000

#: Pauses between attempts double from the first to the last; half a minute is soon enough after a long outage.
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0

_log = structlog.get_logger()


class ControlTopic:
    """Follows the control topic in a thread of its own and writes the limiter's table; the table's only writer.

    Reads every partition from the beginning without a consumer group, committed records only, and the operator topic
    in the same way: whether decisions are obeyed hangs on no worker. The table is complete whenever the end offsets of
    both, as seen at the start of a round, are reached. A lost broker is tried again with growing
    pauses and read on from where it was lost; until then the table stays as it is and ages. Partitions added later
    are picked up within 30 s. ``security`` goes to kafka-python as it is (``security_protocol``, ``ssl_context`` …).
    With a ``verifier``, decisions that no trusted key has signed change nothing, and are counted; with
    ``operator_signatures``, so does the switch.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        broker: str,
        topic: str,
        operator_topic: str,
        api_version: tuple[int, int] = API_VERSION,
        security: Mapping[str, Any] = MappingProxyType({}),
        verifier: Verifier | None = None,
        operator_signatures: OperatorSignatures | None = None,
    ) -> None:
        self.records_read = 0
        self._limiter = limiter
        self._broker = broker
        self._topic = topic
        self._operator_topic = operator_topic
        self._api_version = api_version
        self._security = security
        self._verifier = verifier
        self._operator_signatures = operator_signatures
        self._positions: dict[TopicPartition, int] = {}
        self._pause_s = 0.0
        self._stopping = Event()
        self._swept_at = time.monotonic()
        self._thread = Thread(target=self._run, name="control-topic", daemon=True)

    def start(self) -> None:
        """Begin to read; returns at once, and never fails because of the broker."""
        self._thread.start()

    def is_running(self) -> bool:
        """False after ``stop``, or when reading has ended by a fault of ours, which only a restart mends."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread; it is left behind if it does not end within ``timeout_s``."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (KafkaError, OSError) as error:
                self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), MAX_PAUSE_S)
                _log.warning(
                    "control topic cannot be read, trying again",
                    broker=self._broker,
                    topic=self._topic,
                    error=_line(error),
                    retry_s=self._pause_s,
                )
                self._sweep()
                self._stopping.wait(self._pause_s)

    def _follow(self) -> None:
        consumer = self._connect()
        try:
            # The first question is one with a deadline: bootstrap() and partitions_for_topic() wait for ever.
            asked = [TopicPartition(topic, 0) for topic in (self._topic, self._operator_topic)]
            consumer.end_offsets(asked, timeout_ms=ANSWER_TIMEOUT_MS)
            while not self._stopping.is_set():
                self._assign_new_partitions(consumer)
                self._read_round(consumer)
                self._sweep()
        finally:
            consumer.close(autocommit=False, timeout_ms=1_000)

    def _connect(self) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self._broker.split(","),
            api_version=self._api_version,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            reconnect_backoff_max_ms=5_000,
            max_poll_records=5_000,
            fetch_max_wait_ms=100,  # the embedded broker answers no sooner, whatever comes in
            metrics_enabled=False,
            **self._security,
        )

    def _assign_new_partitions(self, consumer: KafkaConsumer) -> None:
        known = consumer.assignment()
        listed: set[TopicPartition] = set()
        for topic in (self._topic, self._operator_topic):
            found = {TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()}
            if not found and not known:
                raise KafkaError(f"topic {topic} does not exist")
            listed |= found
        if not listed <= known:
            consumer.assign(sorted(listed | known))
            for partition in listed - known:
                if partition in self._positions:
                    consumer.seek(partition, self._positions[partition])
                else:
                    consumer.seek_to_beginning(partition)

    def _read_round(self, consumer: KafkaConsumer) -> None:
        """Read for ``ROUND_S``; the table is complete if that reaches the ends all partitions had at the start."""
        asked_ms = self._limiter.now_ms()
        ends = consumer.end_offsets(list(consumer.assignment()), timeout_ms=ANSWER_TIMEOUT_MS)
        deadline = time.monotonic() + ROUND_S
        is_complete = False
        while not self._stopping.is_set() and time.monotonic() < deadline:
            self._read_batch(consumer)
            if not is_complete and _has_reached(consumer, ends):
                is_complete = True
                self._pause_s = 0.0
                self._limiter.table.mark_complete(asked_ms)

    def _read_batch(self, consumer: KafkaConsumer) -> None:
        unreadable, forged = [], []
        for partition, records in consumer.poll(timeout_ms=200).items():
            for record in records:
                place = f"{record.topic}/{record.partition}/{record.offset}"
                if record.topic == self._operator_topic:
                    if refusal := self._heed(record):
                        forged.append(f"{place}: {refusal}")
                    continue
                try:
                    at_ms = self._signed_ms(record)
                except SignatureRefusedError as error:
                    forged.append(f"{place}: {error}")
                    continue
                problem = self._limiter.table.apply(record.key, record.value, self._limiter.now_ms(), at_ms)
                if problem is not None:
                    unreadable.append(f"{place}: {problem}")
            self._positions[partition] = records[-1].offset + 1
            self.records_read += len(records)
        if unreadable:
            self._limiter.metrics.unreadable_records.inc(len(unreadable))
            _log.warning("unreadable records ignored", count=len(unreadable), last=unreadable[-1])
        if forged:
            self._limiter.metrics.forged_records.inc(len(forged))
            _log.warning("forged records ignored", count=len(forged), last=forged[-1])

    def _signed_ms(self, record: ConsumerRecord) -> int:
        if self._verifier is None:
            return 0
        return signed_ms(ControlRecord(record.key or b"", record.value), record.headers or (), self._verifier)

    def _heed(self, told: ConsumerRecord) -> str | None:
        """Follow what the record says of enforcement, if anything; why it may not be followed."""
        switch = read_switch(told.value)
        if switch is None:
            return None
        if self._operator_signatures is not None:
            content = ControlRecord(told.key or b"", told.value)
            if refusal := self._operator_signatures.refusal(told.offset, content, told.headers or ()):
                return refusal
        self._limiter.is_enforced = switch.is_enforced
        state, record = "on" if switch.is_enforced else "off", switch.record
        _log.warning(f"enforcement is {state}", by=record.by, reason=record.reason, at=record.at.isoformat())
        return None

    def _sweep(self) -> None:
        if time.monotonic() - self._swept_at >= SWEEP_S:
            self._swept_at = time.monotonic()
            self._limiter.table.drop_expired(self._limiter.now_ms())


def _has_reached(consumer: KafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    positions = {partition: consumer.position(partition, timeout_ms=1_000) for partition in ends}
    return all(position is not None and position >= ends[partition] for partition, position in positions.items())


def _line(error: Exception) -> str:
    if isinstance(error, KafkaTimeoutError):
        return f"no answer within {ANSWER_TIMEOUT_MS // 1000} s; is the broker up, and does the topic exist?"
    return (str(error) or type(error).__name__).splitlines()[0]
