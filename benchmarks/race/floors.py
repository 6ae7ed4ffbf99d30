"""The floors: what fetching and decoding alone cost, ``python -m benchmarks.race.floors NAME`` and the job's flags."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from msgspec import Struct
from msgspec.json import Decoder

#: Messages per call: aiokafka returns what it has fetched up to this, librdkafka waits for it or for its timeout.
BATCH = 5_000


class Fields(Struct):
    """The fields of an event that the job needs."""

    time: str
    tenant_id: str
    status_code: int
    input_tokens: int
    output_tokens: int


decode = Decoder(Fields).decode


async def drain_aiokafka(bootstrap: str, topic: str) -> int:
    """Fetch and decode the topic by aiokafka; returns the number of events."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        total: int = sum((await consumer.end_offsets(consumer.assignment())).values())
        left = total
        while left > 0:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=BATCH)).values():
                for record in records:
                    decode(record.value or b"")
                left -= len(records)
        return total
    finally:
        await consumer.stop()


def drain_librdkafka(bootstrap: str, topic: str) -> int:
    """Fetch and decode the topic by librdkafka; returns the number of events."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "floor", "enable.auto.commit": False})
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        total = left = sum(consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in numbers)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
        while left > 0:
            messages = consumer.consume(BATCH, timeout=0.1)
            for message in messages:
                decode(message.value() or b"")
            left -= len(messages)
        return total
    finally:
        consumer.close()


DRAINS: dict[str, Callable[[str, str], int]] = {
    "aiokafka": lambda bootstrap, topic: asyncio.run(drain_aiokafka(bootstrap, topic)),
    "librdkafka": drain_librdkafka,
}


def main() -> None:
    """Drain the input once; output and group stay untouched."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=DRAINS)
    for flag in ("bootstrap", "input", "output", "group"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--dir", required=True, type=Path)
    args = parser.parse_args()
    print(DRAINS[args.name](args.bootstrap, args.input), "events")


if __name__ == "__main__":
    main()
