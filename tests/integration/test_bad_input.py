"""Everything a broken producer can send, through the running worker: each a dead letter, nothing good lost."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from stream_app.detection.partitions import partition_of
from stream_app.detection.state import PARTITION_KEY, STATE_VERSION
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.integration.streaming import Deployment, deployment, run_worker

TENANT = "acme"
NOW = datetime.now(UTC)


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"request-{number}",
        "time": (NOW + timedelta(milliseconds=number)).isoformat(),
        "tenant_id": TENANT,
        "account_id": "a1",
        "model": "m",
        "status_code": 200,
        "input_tokens": 10,
        "output_tokens": 10,
    } | changes


def without(field: str) -> bytes:
    return orjson.dumps({name: value for name, value in event(0).items() if name != field})


#: name, record value, headers, reason expected
BAD: list[tuple[str, bytes | None, list[tuple[str, bytes]], str]] = [
    ("no value", None, [], "empty"),
    ("not JSON", b"hello", [], "not_json"),
    ("cut off", orjson.dumps(event(0))[:-5], [], "not_json"),
    ("wrong type", orjson.dumps(event(0, input_tokens="many")), [], "invalid"),
    ("missing id", without("id"), [], "invalid"),
    ("missing tenant", without("tenant_id"), [], "invalid"),
    ("negative tokens", orjson.dumps(event(0, output_tokens=-1)), [], "invalid"),
    ("deep nesting", b"[" * 20_000 + b"]" * 20_000, [], "not_json"),
    (
        "deep nesting in a field",
        orjson.dumps(event(0))[:-1] + b',"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        [],
        "not_json",
    ),
    ("raw NUL", b"\0" + orjson.dumps(event(0)), [], "not_json"),
    ("escaped NUL", orjson.dumps(event(0, account_id="a\0b")), [], "invalid"),
    ("invalid UTF-8", orjson.dumps(event(0)).replace(b'"a1"', b'"\xff\xfe"'), [], "not_json"),
    ("two days old", orjson.dumps(event(0, time=(NOW - timedelta(days=2)).isoformat())), [], "too_old"),
    ("two days ahead", orjson.dumps(event(0, time=(NOW + timedelta(days=2)).isoformat())), [], "in_future"),
    ("time without offset", orjson.dumps(event(0, time="2026-11-01T12:00:00")), [], "invalid"),
    ("long tenant id", orjson.dumps(event(0, tenant_id="x" * 10_000)), [], "invalid"),
    ("other CloudEvents type", orjson.dumps(event(0)), [("ce_type", b"com.example.other")], "unknown_type"),
    ("CloudEvents without a type", orjson.dumps(event(0)), [("ce_id", b"1")], "unknown_type"),
]


def send_good(running: Deployment, numbers: range) -> None:
    for number in numbers:
        running.send(orjson.dumps(event(number)), tenant_id=TENANT)


def test_each_bad_record_is_one_dead_letter_and_the_good_ones_count(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    home = partition_of(TENANT, settings.partitions)
    with deployment(settings, tmp_path) as running:
        send_good(running, range(5))
        for _, value, headers, _ in BAD:
            running.send(value, tenant_id=TENANT, partition=home, headers=headers)
        batch = [event(5), event(6, status_code="fine"), event(7), event(8, tenant_id="someone-else")]
        running.send(orjson.dumps(batch), tenant_id=TENANT)
        running.send(orjson.dumps(event(9)), tenant_id=TENANT, partition=(home + 1) % settings.partitions)
        running.send(orjson.dumps(event(4)), tenant_id=TENANT)
        send_good(running, range(10, 15))
        running.producer.flush()
        counts = running.wait_for(5 + len(BAD) + len(batch) + 1 + 1 + 5)
        letters = running.read(TopicName.DEAD_LETTERS)
        assert running.worker.face.is_ready()

    assert (counts.applied, counts.repeated) == (12, 1)
    found = [orjson.loads(letter.value or b"") for letter in letters]
    expected = Counter(reason for *_, reason in BAD) + Counter(["invalid", "mixed_tenants", "misrouted"])
    assert Counter(letter["reason"] for letter in found) == expected
    assert counts.dead_letters == len(found)
    assert len({letter.key for letter in letters}) == len(letters)
    by_offset = {letter["offset"]: letter for letter in found if letter["partition"] == home}
    for place, (name, value, _, reason) in enumerate(BAD):
        assert by_offset[5 + place]["reason"] == reason, name
        assert by_offset[5 + place]["topic"] == settings.topic(TopicName.REQUESTS)
        original = dict(letters[found.index(by_offset[5 + place])].headers)["original"]
        assert original == (value or b"")
    assert {letter.get("index") for letter in found} == {None, 1, 3}


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["real"], indirect=True)
@pytest.mark.parametrize("size_mib", [2, 10])
def test_a_message_above_the_limit_is_refused_without_its_content(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path, allow_large_messages: Any, size_mib: int
) -> None:
    settings = create_topics_for(topic_prefix)
    allow_large_messages(settings.broker, settings.topic(TopicName.REQUESTS), 12 << 20)
    with deployment(settings, tmp_path) as running:
        running.send(orjson.dumps(event(1, padding="x" * (size_mib << 20))), tenant_id=TENANT)
        send_good(running, range(2, 4))
        running.producer.flush()
        running.wait_for(3)
        (letter,) = running.read(TopicName.DEAD_LETTERS)
    assert orjson.loads(letter.value or b"")["reason"] == "too_large"
    assert "original" not in dict(letter.headers)


def test_a_run_of_nothing_but_garbage_becomes_dead_letters(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    garbage = 3_000
    with deployment(settings, tmp_path) as running:
        for number in range(garbage):
            running.send(b"\xff%d" % number, tenant_id=TENANT)
        send_good(running, range(3))
        running.producer.flush()
        counts = running.wait_for(garbage + 3)
        letters = running.read_until(TopicName.DEAD_LETTERS, garbage)
    assert (counts.applied, counts.rejected) == (3, garbage)
    assert sorted(orjson.loads(letter.value or b"")["offset"] for letter in letters) == list(range(garbage))


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ((b"acme", bytes((STATE_VERSION + 1,)) + b"from the future"), f"state version {STATE_VERSION + 1}"),
        ((PARTITION_KEY.encode(), bytes((STATE_VERSION,)) + b"\xc1"), "unreadable state of 1 bytes"),
        ((b"acme", b""), "state version nothing"),
    ],
)
def test_a_changelog_that_cannot_be_read_ends_the_worker_with_its_place(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path, record: tuple[bytes, bytes], problem: str
) -> None:
    key, state = record
    settings = create_topics_for(topic_prefix, partitions=1)
    topic = settings.topic(TopicName.TENANT_STATE)
    producer = Producer({"bootstrap.servers": settings.broker, "log_level": 0})
    producer.produce(topic, state, key, partition=0)
    producer.flush()
    done = run_worker(settings)
    assert done.returncode == 1
    assert f"{topic}/0/0 (key {key.decode()!r}): {problem}" in done.stderr
