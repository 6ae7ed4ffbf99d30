"""The embedded broker answers as a real one does, as far as Stillwatch asks."""

import subprocess
import sys

import pytest
from confluent_kafka import Producer

from stream_app.adapters.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import KafkaRecords, TestBroker
from tests.conftest import SettingsFor

PARTITIONS = 3

#: (murmur2(key) & 0x7fffffff) % PARTITIONS, as kafka-python, another implementation than the producer here, has it.
MURMUR2_PARTITIONS = {b"acme": 0, b"globex": 1, b"hooli": 0, b"wonka": 2}


@pytest.fixture
def topic(broker: TestBroker, topic_prefix: str) -> tuple[str, str]:
    name = f"{topic_prefix}.requests.v1"
    return broker.with_topics({name: PARTITIONS}), name


def produce(bootstrap: str, topic: str, records: list[tuple[bytes, bytes | None]], headers: dict[str, bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2", "acks": "all", "linger.ms": 1})
    for key, value in records:
        producer.produce(topic, key=key, value=value, headers=[*headers.items()])
    assert producer.flush(10) == 0


def test_murmur2_puts_a_key_where_kafka_would(topic: tuple[str, str]) -> None:
    produce(*topic, [(key, b"{}") for key in MURMUR2_PARTITIONS], {})
    with KafkaRecords(*topic) as reader:
        assert {record.key: record.partition for record in reader.read_to_end()} == MURMUR2_PARTITIONS


def test_key_value_headers_and_time_survive(topic: tuple[str, str]) -> None:
    produce(*topic, [(b"acme", b'{"n":1}')], {"ce_id": b"e-1", "empty": b""})
    with KafkaRecords(*topic) as reader:
        (record,) = reader.read_to_end()
    assert (record.key, record.value) == (b"acme", b'{"n":1}')
    assert record.headers == [("ce_id", b"e-1"), ("empty", b"")]
    assert record.timestamp > 0


def test_a_tombstone_is_not_an_empty_value(topic: tuple[str, str]) -> None:
    produce(*topic, [(b"acme", None), (b"acme", b"")], {})
    with KafkaRecords(*topic) as reader:
        assert [record.value for record in reader.read_to_end()] == [None, b""]


def test_offsets_are_consecutive_and_order_is_kept(topic: tuple[str, str]) -> None:
    keys = list(MURMUR2_PARTITIONS)
    produce(*topic, [(keys[n % len(keys)], b"%d" % n) for n in range(2_000)], {})
    with KafkaRecords(*topic) as reader:
        records = reader.read_to_end()
    assert len(records) == 2_000
    for partition in range(PARTITIONS):
        own = [record for record in records if record.partition == partition]
        assert [record.offset for record in own] == list(range(len(own)))
        assert [int(record.value or b"") for record in own] == sorted(int(record.value or b"") for record in own)


def test_reading_to_the_end_of_an_empty_topic_ends(topic: tuple[str, str]) -> None:
    with KafkaRecords(*topic) as reader:
        assert reader.read_to_end() == []


def test_a_consumer_without_a_group_follows(topic: tuple[str, str]) -> None:
    produce(*topic, [(b"acme", b"before")], {})
    with KafkaRecords(*topic) as reader:
        assert [record.value for record in reader.read_to_end()] == [b"before"]
        produce(*topic, [(b"globex", b"after"), (b"acme", b"after")], {})
        followed = reader.read_until(lambda records: len(records) == 3)
    assert [record.value for record in followed] == [b"before", b"after", b"after"]


def test_two_readers_see_the_same(topic: tuple[str, str]) -> None:
    produce(*topic, [(key, key) for key in MURMUR2_PARTITIONS], {})
    with KafkaRecords(*topic) as one, KafkaRecords(*topic) as other:
        assert sorted(one.read_to_end()) == sorted(other.read_to_end())


def test_a_reader_that_waits_in_vain_says_so(topic: tuple[str, str]) -> None:
    with KafkaRecords(*topic) as reader, pytest.raises(TimeoutError, match="0 records"):
        reader.read_until(lambda records: len(records) == 1, timeout_s=0.3)


def test_a_deployments_topics_exist(create_topics_for: SettingsFor, topic_prefix: str) -> None:
    settings: Settings = create_topics_for(topic_prefix, partitions=2)
    name = settings.topic(TopicName.REQUESTS)
    produce(settings.broker, name, [(key, b"{}") for key in MURMUR2_PARTITIONS], {})
    with KafkaRecords(settings.broker, name) as reader:
        assert {record.partition for record in reader.read_to_end()} == {0, 1}


def test_the_embedded_broker_listens_on_this_machine_alone() -> None:
    with EmbeddedBroker({"a": 1}) as one, EmbeddedBroker({"a": 1}) as other:
        assert one.bootstrap.startswith("127.0.0.1:")
        assert one.bootstrap != other.bootstrap


def test_the_embedded_broker_refuses_a_topic_without_partitions() -> None:
    with pytest.raises(EmbeddedBrokerError, match="topic a: 0 partitions"), EmbeddedBroker({"a": 0}):
        pass


def test_the_embedded_broker_writes_nothing_of_its_own() -> None:
    program = "from stream_app.adapters.embedded_broker import EmbeddedBroker\nwith EmbeddedBroker({'a': 1}): pass"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert done.stdout + done.stderr == b""
