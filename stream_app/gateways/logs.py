"""Where gateways' logs lie: files, standard input, Kafka topics."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_app.adapters.clients import ANSWER_S, client_config
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


def lines_of_file(path: Path) -> Iterator[Line]:
    """Lines that are not blank; ``-`` is standard input. Raises ``LogError``."""
    name = "standard input" if str(path) == "-" else path.name
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
