"""What happens to the source topic behind a worker's back: it says so and stops, or says so and goes on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.integration.streaming import deployment, run_worker

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("broker", ["real"], indirect=True),
]
NOW = datetime.now(UTC)
STOP_S = 60


def events(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "id": f"request-{number}",
            "time": (NOW + timedelta(milliseconds=number)).isoformat(),
            "tenant_id": f"tenant-{number % 7}",
            "account_id": "a",
            "model": "m",
            "status_code": 200,
            "input_tokens": 10,
            "output_tokens": 10,
        }
        for number in range(first, first + count)
    ]


def administer(settings: Settings, order: Callable[[AdminClient], dict[Any, Any]]) -> None:
    """Have an order carried out; the client must outlive its futures."""
    admin = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})
    for future in order(admin).values():
        future.result(STOP_S)


def test_records_deleted_before_they_were_read_are_counted_and_the_rest_is_judged(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix, partitions=1)
    with deployment(settings, tmp_path) as running:
        running.send_events(events(20))
        running.wait_for(20)
    with deployment(settings, tmp_path) as running:
        running.wait_for(0)
        running.worker.process.terminate()
        running.worker.process.wait(STOP_S)
        running.send_events(events(50, first=20))
        place = TopicPartition(settings.topic(TopicName.REQUESTS), 0, 60)
        administer(settings, lambda admin: admin.delete_records([place]))
    with deployment(settings, tmp_path) as running:
        counts = running.wait_for(10)
        running.send_events(events(5, first=70))
        counts = running.wait_for(15)
    assert (counts.applied, counts.missed) == (15, 40)


def test_partitions_added_to_the_source_end_the_worker_with_a_reason(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix, partitions=2)
    with deployment(settings, tmp_path) as running:
        running.send_events(events(20))
        running.wait_for(20)
        running.worker.process.terminate()
        running.worker.process.wait(STOP_S)
    names = [settings.topic(name) for name in TopicName if name not in (TopicName.OPERATOR, TopicName.DEAD_LETTERS)]
    administer(settings, lambda admin: admin.create_partitions([NewPartitions(name, 3) for name in names]))
    done = run_worker(settings)
    assert done.returncode == 1
    assert "partitions is 3, should be 2" in done.stderr


def test_a_source_that_was_made_anew_ends_the_worker_with_a_reason(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix, partitions=1)
    with deployment(settings, tmp_path) as running:
        running.send_events(events(20))
        running.wait_for(20)
    requests = settings.topic(TopicName.REQUESTS)
    administer(settings, lambda admin: admin.delete_topics([requests], operation_timeout=10))
    administer(settings, lambda admin: admin.create_topics([NewTopic(requests, 1, 1)], operation_timeout=10))
    done = run_worker(settings)
    assert done.returncode == 1
    assert "ends at 0, before our position 20" in done.stderr


def make_anew(settings: Settings, name: TopicName, partitions: int) -> None:
    topic = settings.topic(name)
    administer(settings, lambda admin: admin.delete_topics([topic], operation_timeout=10))
    administer(settings, lambda admin: admin.create_topics([NewTopic(topic, partitions, 1)], operation_timeout=10))


def test_a_lost_journal_or_state_is_mended_as_the_guide_says_and_a_lost_operator_topic_is_told(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix, partitions=1)
    block = {"type": "override", "subject": "tenant:foe", "body": {"action": "block"}, "reason": "test", "by": "tester"}
    times = {"at": NOW.isoformat(), "expires_at": (NOW + timedelta(hours=1)).isoformat()}
    with deployment(settings, tmp_path) as running:
        running.operate({"id": "1", **block, **times})
        running.send_events(events(20))
        running.wait_for(20)
        before = [record.value or b"" for record in running.read_until(TopicName.DECISIONS, 1)]
    with deployment(settings, tmp_path) as running:  # whose state knows how far the journal went
        running.send_events(events(20, first=20))
        running.wait_for(20)
    make_anew(settings, TopicName.JOURNAL, 1)
    done = run_worker(settings)
    assert done.returncode == 1
    assert "journal.v1/0 ends at 0, before position" in done.stderr
    assert "Traceback" not in done.stderr

    make_anew(settings, TopicName.TENANT_STATE, 1)
    with deployment(settings, tmp_path) as running:
        running.wait_for(40)  # judged again, from the beginning of what retention has kept
        after = [record.value or b"" for record in running.read_until(TopicName.DECISIONS, 2)]
    assert [(told["action"], told["subject"]) for told in map(orjson.loads, after)] == 2 * [("block", "foe")]
    assert before == after[:1]

    make_anew(settings, TopicName.OPERATOR, 1)
    with deployment(settings, tmp_path) as running:
        running.wait_for(0)
        assert "operator.v1 ends at 0, but partition 0 has followed record 0" in running.worker.log.read_text()
