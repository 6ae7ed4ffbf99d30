"""Where gateways' logs lie: files, standard input, Kafka topics."""

import sys
from collections.abc import Callable, Iterator, Set
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_app.adapters.clients import ANSWER_S, client_config
from stream_app.adapters.dead_letters import KeptLetter, read_dead_letters
from stream_app.adapters.histories import HistorySource, find_spans, read_spans
from stream_app.adapters.recorded_events import RecordsGoneError, Span
from stream_app.settings import Settings

#: Lines between two waits for the broker: a wait costs as long as a batch lingers, some 50 ms.
KEPT_EVERY = 1_000


class LogError(Exception):
    """A log cannot be read; the message is one line."""


class Line(NamedTuple):
    """One line of a file (offset from 0), or the value of a Kafka record."""

    value: bytes
    source: str
    partition: int
    offset: int


def name_of_file(path: Path) -> str:
    """What dead letters call a file; ``-`` is standard input."""
    return "standard input" if str(path) == "-" else path.name


def refused_places(settings: Settings, source: str, since: datetime) -> set[str]:
    """Where in a log those lines lie that became dead letters then or later. Raises ``DecisionLogError``."""
    letters = (letter for letter in read_dead_letters(settings) if isinstance(letter, KeptLetter))
    return {letter.place for letter in letters if letter.topic == source and letter.at >= since}


def lines_of_places(settings: Settings, topic: str, places: Set[str]) -> Iterator[Line]:
    """What a topic still holds from the first of these places to the last, in no group. Raises ``LogError``."""
    offsets: dict[int, list[int]] = {}
    for place in places:
        _, number, offset, _ = place.rsplit("/", 3)
        offsets.setdefault(int(number), []).append(int(offset))
    try:
        spans = [
            Span(topic, span.partition, max(span.first, min(own)), min(span.end, max(own) + 1), is_whole=False)
            for span in find_spans(settings, HistorySource(None, topic, None))
            if (own := offsets.get(span.partition))
        ]
        for partition, record in read_spans(settings, spans):
            yield Line(record.value or b"", topic, partition, record.offset)
    except RecordsGoneError as error:
        raise LogError(str(error)) from error


def lines_of_file(path: Path) -> Iterator[Line]:
    """Lines that are not blank; ``-`` is standard input. Raises ``LogError``."""
    name = name_of_file(path)
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            for number, line in enumerate(file):
                if line.strip():
                    yield Line(line, name, 0, number)
    except OSError as error:
        raise LogError(f"{path}: {error.strerror}") from error


def lines_of_topic(
    settings: Settings, topic: str, acknowledge: Callable[[], None], *, is_followed: bool
) -> Iterator[Line]:
    """A topic from where the group ``GROUP-gateway-events`` stopped, or from its beginning.

    Before the group's place is kept, ``acknowledge`` is called, which returns when the broker has what was made of the
    lines so far: who breaks off, or crashes, repeats at most ``KEPT_EVERY`` lines and loses none. Not followed, it ends
    where the topic ends now. Raises ``LogError``, and what ``acknowledge`` raises.
    """
    consumer = Consumer(
        client_config(settings)
        | {
            "group.id": f"{settings.group}-gateway-events",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = _partitions(consumer, topic)
        consumer.subscribe([topic])
        ended: set[int] = set()
        taken = 0
        while is_followed or ended < partitions:
            message = consumer.poll(1.0)
            if taken == KEPT_EVERY or (taken and message is None):
                taken = _keep_place(consumer, acknowledge)
            if message is None:
                continue
            error = message.error()
            if error is None:
                yield Line(message.value() or b"", topic, message.partition() or 0, message.offset() or 0)
                consumer.store_offsets(message)
                taken += 1
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition() or 0)
            elif not error.retriable():
                raise LogError(f"{topic}: {error.str()}")
        if taken:
            _keep_place(consumer, acknowledge)
    finally:
        consumer.close()


def _keep_place(consumer: Consumer, acknowledge: Callable[[], None]) -> int:
    """Commit what was taken; how much is taken since then, which is nothing."""
    acknowledge()
    consumer.commit(asynchronous=False)
    return 0


def _partitions(consumer: Consumer, topic: str) -> set[int]:
    try:
        found = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
    except KafkaException as error:
        raise LogError(f"{topic}: {error.args[0].str()}") from error
    if found.error is not None:
        raise LogError(f"{topic}: {found.error.str()}")
    return {TopicPartition(topic, number).partition for number in found.partitions}
