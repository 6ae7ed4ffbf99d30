"""Follows the topics that the console shows, in a thread of its own, from as far back as its view reaches."""

import time
from collections.abc import Callable
from threading import Event, Thread

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError

from stream_app.adapters.decision_log import ANSWER_TIMEOUT_MS, DecisionLogError, connect
from stream_app.adapters.operator_signatures import operator_signatures
from stream_app.console.view import MAX_LOG, TopicRecord
from stream_app.settings import Settings
from stream_app.signed_records import ControlRecord
from stream_app.topology import TopicName

#: Topics that are read whole: compacted ones, and the operators' words, of which there are few.
WHOLE = (TopicName.DECISIONS, TopicName.CAMPAIGNS, TopicName.OPERATOR)
#: Topics of which the end is read, with how many records over all partitions; campaigns write members in between.
TAILS = {TopicName.DECISION_LOG: MAX_LOG, TopicName.CAMPAIGN_LOG: 200_000}
#: How often what has been read is compared with the ends of the logs, and how fine the view's age is measured.
_ROUND_S = 1.0
#: Pauses between attempts double from the first to the last.
_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 30.0

_log = structlog.get_logger()


class TopicsReader:
    """Hands records to ``deliver`` in batches, which returns when they are applied; reads on after a lost broker.

    ``problem`` is why nothing is read at the moment, empty while all is well. A missing topic is waited for.
    """

    def __init__(self, settings: Settings, deliver: Callable[[list[TopicRecord]], None]) -> None:
        self.problem = ""
        self.records_read = 0
        self._settings = settings
        self._deliver = deliver
        self._names = {settings.topic(name): name for name in (*WHOLE, *TAILS)}
        self._positions: dict[TopicPartition, int] = {}
        self._complete_s: float | None = None
        self._pause_s = 0.0
        self._signatures = operator_signatures(settings)
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="console-topics", daemon=True)

    def start(self) -> None:
        """Begin to read; never fails because of the broker."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread; it is left behind if it does not end in time."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def is_running(self) -> bool:
        """False when reading has ended by a fault of ours, which only a restart mends."""
        return self._thread.is_alive()

    def age_s(self) -> float | None:
        """Seconds since everything there was had been applied; ``None`` before it ever was."""
        return None if self._complete_s is None else max(0.0, time.monotonic() - self._complete_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (KafkaError, OSError, DecisionLogError) as error:
                self.problem = _line(error)
                self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _MAX_PAUSE_S)
                _log.warning(
                    "topics cannot be read, trying again",
                    broker=self._settings.broker,
                    error=self.problem,
                    retry_s=self._pause_s,
                )
                self._stopping.wait(self._pause_s)

    def _follow(self) -> None:
        consumer = connect(self._settings)
        try:
            # The first question is one with a deadline: partitions_for_topic() waits for ever.
            consumer.end_offsets([TopicPartition(next(iter(self._names)), 0)], timeout_ms=ANSWER_TIMEOUT_MS)
            while not self._stopping.is_set():
                self._assign(consumer)
                self._read_round(consumer)
        finally:
            consumer.close(autocommit=False, timeout_ms=1_000)

    def _assign(self, consumer: KafkaConsumer) -> None:
        """Take up partitions that have come, where they were left or where the view begins."""
        known = consumer.assignment()
        listed = {TopicPartition(t, number) for t in self._names for number in consumer.partitions_for_topic(t) or ()}
        if missing := [topic for topic in self._names if topic not in {place.topic for place in listed | known}]:
            raise KafkaError(f"topic {missing[0]} does not exist")
        new = listed - known
        if not new:
            return
        begins = consumer.beginning_offsets(list(new), timeout_ms=ANSWER_TIMEOUT_MS)
        ends = consumer.end_offsets(list(new), timeout_ms=ANSWER_TIMEOUT_MS)
        consumer.assign(sorted(listed | known))
        for place in new:
            kept = TAILS.get(self._names[place.topic])
            share = 1 << 62 if kept is None else kept // sum(place.topic == other.topic for other in listed)
            consumer.seek(place, self._positions.get(place, max(begins[place], ends[place] - share)))

    def _read_round(self, consumer: KafkaConsumer) -> None:
        asked_s = time.monotonic()
        ends = consumer.end_offsets(list(consumer.assignment()), timeout_ms=ANSWER_TIMEOUT_MS)
        is_complete = False
        while not self._stopping.is_set() and time.monotonic() - asked_s < _ROUND_S:
            self._read_batch(consumer)
            if not is_complete and all((consumer.position(place) or 0) >= end for place, end in ends.items()):
                is_complete = True
                self._complete_s, self._pause_s, self.problem = asked_s, 0.0, ""

    def _read_batch(self, consumer: KafkaConsumer) -> None:
        batch = []
        for place, records in consumer.poll(timeout_ms=200).items():
            name = self._names[place.topic]
            batch += [
                TopicRecord(name, place.partition, r.offset, r.timestamp, r.key, r.value)
                for r in records
                if name is not TopicName.OPERATOR or not self._is_forged(r)
            ]
            self._positions[place] = records[-1].offset + 1
        if batch:
            self._deliver(batch)
            self.records_read += len(batch)

    def _is_forged(self, record: ConsumerRecord) -> bool:
        if self._signatures is None:
            return False
        content = ControlRecord(record.key or b"", record.value)
        refusal = self._signatures.refusal(record.offset, content, record.headers or ())
        if refusal:
            _log.warning("forged operator record ignored", offset=record.offset, problem=refusal)
        return refusal is not None


def _line(error: Exception) -> str:
    if isinstance(error, KafkaTimeoutError):
        return f"no answer from the broker within {ANSWER_TIMEOUT_MS // 1000} s"
    return (str(error) or type(error).__name__).splitlines()[0]
