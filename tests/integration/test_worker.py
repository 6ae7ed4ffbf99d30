"""The worker as people meet it: operator records, restarts, wrong settings, brokers that are not there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from confluent_kafka import Producer

from stream_app.adapters.topic_admin import create_topics
from stream_app.demo.workers import running_worker
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import EmitDecision
from stream_app.policies import DEFAULT_POLICY, read_policy
from stream_app.replay import Replay
from stream_app.reports.journals import read_journal
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests import brokers
from tests.conftest import SettingsFor
from tests.integration.streaming import Deployment, deployment

#: Some seconds ago, as a pane of ten begins: what a burst of five brings lies in one.
NOW = datetime.fromtimestamp(time.time() // 10 * 10, UTC)


def burst(tenant_id: str, first: int, count: int, start: datetime) -> list[dict[str, Any]]:
    """``count`` requests, twenty a second."""
    return [
        {
            "id": f"{tenant_id}-{first + number}",
            "time": (start + timedelta(milliseconds=50 * number)).isoformat(),
            "tenant_id": tenant_id,
            "account_id": "a",
            "model": "m",
            "status_code": 200,
            "input_tokens": 10,
            "output_tokens": 10,
        }
        for number in range(count)
    ]


def touchy_policy() -> str:
    """The default policy, enforced, which observes at the slightest surprise."""
    text = DEFAULT_POLICY.read_text().replace("version: default-1", "version: touchy-1").replace("shadow", "enforced")
    return text.replace("enter: 0.999\n", "enter: 0.6\n").replace("leave: 0.99\n", "leave: 0.55\n")


def operator_record(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    record = {"id": f"op-{number}", "type": kind, "reason": "test", "by": "tester", "at": NOW.isoformat()}
    return record | fields


def on_control_topic(running: Deployment, count: int) -> list[Decision]:
    records = running.read_until(TopicName.DECISIONS, count)
    return [msgspec.json.decode(record.value or b"", type=Decision) for record in records]


def test_people_steer_a_running_worker_and_a_restart_repeats_nothing(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    expires_at = (NOW + timedelta(hours=1)).isoformat()
    with deployment(settings, tmp_path) as running:
        running.send_events(burst("calm", 0, 100, NOW - timedelta(minutes=5)))
        running.wait_for(100)
        assert running.decisions() == []

        running.operate(operator_record(1, "policy", body={"yaml": touchy_policy()}))
        running.operate(b"nonsense")
        running.operate(operator_record(2, "policy", body={"yaml": "version: broken\nrungs: {}\n"}))
        running.operate(
            operator_record(3, "override", subject="tenant:foe", expires_at=expires_at, body={"action": "block"})
        )
        running.operate(operator_record(4, "something-new"))
        running.send_events(burst("foe", 0, 5, NOW))  # the owner of a tenant acts once it has the partition
        (block,) = on_control_topic(running, 1)
        headers = dict(running.read(TopicName.DECISIONS)[0].headers)
        assert {
            name: headers[name] for name in ("ce_specversion", "ce_type", "ce_id", "ce_subject", "content-type")
        } == {
            "ce_specversion": b"1.0",
            "ce_type": b"stillwatch.decision.v1",
            "ce_id": block.decision_id.encode(),
            "ce_subject": b"tenant:foe",
            "content-type": b"application/json",
        }
        assert (block.key, block.action, block.origin, block.simulated) == ("tenant:foe", "block", "operator", False)
        letters = [orjson.loads(record.value or b"") for record in running.read_until(TopicName.DEAD_LETTERS, 2)]
        assert [(letter["offset"], letter["reason"]) for letter in letters] == [(1, "not_json"), (2, "invalid")]
        assert "rungs" in letters[1]["detail"]

        running.send_events(burst("loud", 0, 100, NOW))
        running.wait_for(205)
        loud = [decision for decision in on_control_topic(running, 2) if decision.key == "tenant:loud"]
        assert [(decision.policy.version, decision.simulated) for decision in loud] == [("touchy-1", False)]
        running.operate(operator_record(5, "release", subject="tenant:foe"))
        assert on_control_topic(running, 3)[-1].action is Action.ALLOW
    before = running.decisions()

    with deployment(settings, tmp_path) as running:
        running.send_events(burst("calm", 100, 5, NOW))
        running.wait_for(5)
        assert running.decisions() == before
        assert len(running.read(TopicName.DEAD_LETTERS)) == 2


def test_replay_with_the_journal_decides_what_the_steered_worker_decided(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    expires_at = (NOW + timedelta(hours=1)).isoformat()
    steps: list[dict[str, Any] | bytes] = [
        operator_record(1, "policy", body={"yaml": touchy_policy()}),
        operator_record(2, "override", subject="tenant:foe", expires_at=expires_at, body={"action": "throttle"}),
        b"nonsense",
        operator_record(3, "release", subject="tenant:foe"),
    ]
    everywhere = settings.partitions
    places = [everywhere, everywhere + 1, 2 * everywhere + 1, 2 * everywhere + 2]  # two are said of one tenant
    with deployment(settings, tmp_path) as running:
        for number, step in enumerate(steps):
            for tenant_id in ("foe", "calm", f"loud-{number}"):
                running.send_events(burst(tenant_id, 100 * number, 100, NOW + timedelta(seconds=40 * number - 300)))
            running.wait_for(300 * (number + 1))
            running.operate(step)
            running.read_until(TopicName.JOURNAL, places[number])
        operator, journal = running.read(TopicName.OPERATOR), running.read(TopicName.JOURNAL)
        source = sorted(running.read(TopicName.REQUESTS), key=lambda record: (record.partition, record.offset))
        live = running.decisions()

    operator_lines = [record.value or b"" for record in operator]
    lines = [record.value or b"" for record in journal]
    entries = read_journal(Path("journal"), lines, len(operator_lines), settings.partitions)
    replay = Replay(
        read_policy(settings),
        settings.partitions,
        operator_lines,
        journal=entries,
        topic=settings.topic(TopicName.REQUESTS),
    )
    effects = list(replay.run(record.value or b"" for record in source))
    expected = [effect.decision for effect in effects if isinstance(effect, EmitDecision)]
    by_id = {decision.decision_id: decision for decision in expected}
    assert {decision.key for decision in expected} >= {"tenant:foe", "tenant:loud-3"}
    assert {decision.decision_id: decision for decision in live} == by_id
    assert len(live) == len(expected)


def test_a_restart_in_the_middle_of_a_window_changes_no_decision(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(touchy_policy())
    settings = create_topics_for(topic_prefix).model_copy(update={"policy": policy})
    events = burst("loud", 0, 2_000, NOW - timedelta(seconds=100))
    for half in (events[:25], events[25:]):
        with deployment(settings, tmp_path) as running:
            running.send_events(half)
            running.wait_for(len(half))
            live = running.decisions()
    replay = Replay(read_policy(settings), settings.partitions, topic=settings.topic(TopicName.REQUESTS))
    effects = list(replay.run(orjson.dumps(event) for event in events))
    expected = [effect.decision for effect in effects if isinstance(effect, EmitDecision)]
    assert expected
    assert live == expected


@pytest.fixture
def own_kafka() -> Iterator[brokers.RunningKafka]:
    """A broker that a test may end and start again."""
    try:
        with brokers.real_kafka() as kafka:
            yield kafka
    except brokers.NoRealBrokerError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.mark.kafka
@pytest.mark.slow
def test_a_lost_broker_is_one_line_and_work_resumes(own_kafka: brokers.RunningKafka, tmp_path: Path) -> None:
    settings = Settings(broker=own_kafka.bootstrap, partitions=2, data_dir=tmp_path)
    create_topics(settings)
    with deployment(settings, tmp_path) as running:
        running.send_events(burst("before", 0, 50, NOW))
        running.wait_for(50)
        own_kafka.kill()
        deadline = time.monotonic() + 30
        while "lost the broker" not in running.worker.last_words() and time.monotonic() < deadline:
            time.sleep(0.1)
        own_kafka.start()
        running.send_events(burst("after", 0, 50, NOW))
        running.wait_for(100)
        lines = [orjson.loads(line) for line in running.worker.log.read_text().splitlines()]
        told = [line["event"] for line in lines if line["level"] != "info"]
    assert len([line for line in told if "lost the broker" in line]) == 1
    assert len(told) <= 4, told


@pytest.mark.kafka
def test_a_broker_that_is_not_there_yet_is_waited_for(own_kafka: brokers.RunningKafka, tmp_path: Path) -> None:
    settings = Settings(broker=own_kafka.bootstrap, partitions=2, data_dir=tmp_path)
    create_topics(settings)
    own_kafka.kill()
    log = tmp_path / "worker.log"
    environment = os.environ | {
        "STILLWATCH_BROKER": settings.broker,
        "STILLWATCH_PARTITIONS": "2",
        "STILLWATCH_WEB_PORT": "0",
        "STILLWATCH_DATA_DIR": str(tmp_path),
    }
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "stream_app", "worker"], env=environment, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while "no broker at" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        own_kafka.start()
        while "policy default-1" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "policy default-1" in log.read_text()
    assert "Traceback" not in log.read_text()


def worker_with(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream_app", "worker"],
        env=os.environ | {"STILLWATCH_WEB_PORT": "0"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_wrong_settings_are_told_all_at_once(tmp_path: Path) -> None:
    done = worker_with(STILLWATCH_BROKER="nowhere", STILLWATCH_PARTITIONS="none", STILLWATCH_WEB_PORT="70000")
    assert done.returncode == 2
    for name in ("STILLWATCH_BROKER", "STILLWATCH_PARTITIONS", "STILLWATCH_WEB_PORT"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [None, "version: 1\nmode: shadow\nrungs: []\n"])
def test_a_wrong_policy_file_stops_the_worker_before_it_starts(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    if content is not None:
        path.write_text(content)
    done = worker_with(STILLWATCH_POLICY=str(path))
    assert done.returncode == 2
    assert "policy.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.kafka
def test_a_worker_without_topics_says_what_to_run(real_kafka: str, topic_prefix: str) -> None:
    done = worker_with(STILLWATCH_BROKER=real_kafka, STILLWATCH_TOPIC_PREFIX=topic_prefix)
    assert done.returncode == 1
    assert "stillwatch topics create" in done.stderr


def test_a_taken_port_is_one_clear_line(create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path) -> None:
    settings = create_topics_for(topic_prefix)
    with running_worker(settings, tmp_path / "first.log") as first:
        port = first.face.port
        done = worker_with(
            STILLWATCH_BROKER=settings.broker,
            STILLWATCH_TOPIC_PREFIX=topic_prefix,
            STILLWATCH_PARTITIONS=str(settings.partitions),
            STILLWATCH_EMBEDDED=str(settings.embedded),
            STILLWATCH_WEB_PORT=str(port),
            STILLWATCH_DATA_DIR=str(tmp_path),
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["real"], indirect=True)
def test_a_second_worker_takes_its_share_and_gives_it_back(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    tenants = [f"tenant-{number}" for number in range(20)]
    second_folder = tmp_path / "second"
    second_folder.mkdir()

    def count(*members: Deployment) -> tuple[int, int]:
        """Events applied, and records that Faust's consumer is known to drop in a rebalance, which must be told."""
        counts = [counts for member in members if (counts := member.worker.face.counts())]
        return sum(counts.applied for counts in counts), sum(counts.missed for counts in counts)

    def check(total: int, *members: Deployment) -> None:
        """Nothing is counted twice, and what is missing is known to be."""
        deadline = time.monotonic() + 60
        while sum(count(*members)) < total and time.monotonic() < deadline:
            time.sleep(0.1)
        applied, missed = count(*members)
        assert applied <= total <= applied + missed

    with deployment(settings, tmp_path) as first:
        sent = sum(first.send_events(burst(tenant, 0, 20, NOW)) for tenant in tenants)
        check(sent, first)
        with deployment(settings, second_folder) as second:
            sent += sum(first.send_events(burst(tenant, 20, 20, NOW)) for tenant in tenants)
            check(sent, first, second)
            applied_by_second, missed_by_second = count(second)
            assert applied_by_second > 0
        sent += sum(first.send_events(burst(tenant, 40, 20, NOW)) for tenant in tenants)
        check(sent - applied_by_second - missed_by_second, first)
    assert second.worker.process.returncode == 0
    assert first.worker.process.returncode == 0


def test_state_of_another_version_is_refused(create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path) -> None:
    settings = create_topics_for(topic_prefix, partitions=1)
    producer = Producer({"bootstrap.servers": settings.broker, "log_level": 0})
    producer.produce(settings.topic(TopicName.TENANT_STATE), b"\x63from the future", key=b"acme", partition=0)
    producer.flush()
    done = worker_with(
        STILLWATCH_BROKER=settings.broker,
        STILLWATCH_TOPIC_PREFIX=topic_prefix,
        STILLWATCH_GROUP=topic_prefix,
        STILLWATCH_PARTITIONS="1",
        STILLWATCH_EMBEDDED=str(settings.embedded),
        STILLWATCH_DATA_DIR=str(tmp_path),
    )
    assert done.returncode == 1
    assert "state version 99" in done.stderr


@pytest.mark.kafka
@pytest.mark.slow
def test_a_worker_stops_even_when_the_broker_is_gone(own_kafka: brokers.RunningKafka, tmp_path: Path) -> None:
    settings = Settings(broker=own_kafka.bootstrap, partitions=2, data_dir=tmp_path)
    create_topics(settings)
    with deployment(settings, tmp_path) as running:
        running.send_events(burst("acme", 0, 50, NOW))
        running.wait_for(50)
        own_kafka.kill()
        running.worker.process.send_signal(signal.SIGTERM)
        assert running.worker.process.wait(30) is not None
