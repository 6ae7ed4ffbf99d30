"""What another policy would have done with what a real broker's topics hold."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from stream_app.cli import main
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.unit.streams import POLICY_TEXT, operator_record, time_of
from tests.unit.test_what_if import HOUR, history, with_floor

pytestmark = [pytest.mark.kafka, pytest.mark.parametrize("broker", ["real"], indirect=True)]


def test_what_if_over_topics_is_what_if_over_a_file(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix, partitions=1)
    # A topic that has just been made refuses the first batch now and then; only an idempotent producer keeps the order.
    options = {"partitioner": "murmur2", "enable.idempotence": True}
    producer = Producer({"bootstrap.servers": settings.broker, **options})
    for value in history():
        key = orjson.loads(value)["tenant_id"]
        producer.produce(settings.topic(TopicName.REQUESTS), value, key)
        producer.poll(0)
    expires_at = time_of(3 * HOUR)
    for record in (
        operator_record("policy", 0, body={"yaml": POLICY_TEXT}),
        operator_record("override", HOUR, subject="tenant:calm", expires_at=expires_at, body={"action": "block"}),
    ):
        producer.produce(settings.topic(TopicName.OPERATOR), record)
    assert producer.flush(20) == 0
    new, events = tmp_path / "new.yaml", tmp_path / "events.jsonl"
    new.write_text(yaml.safe_dump(with_floor(1_000_000).model_dump(mode="json", exclude_none=True)))
    events.write_bytes(b"\n".join(history()))

    given = settings.model_dump(exclude_none=True)
    environment = {f"STILLWATCH_{name.upper()}": str(value) for name, value in given.items()}

    def result(*words: str) -> dict[str, Any]:
        called = ["policy", "what-if", str(new), "--out", str(tmp_path / "out"), *words]
        done = CliRunner().invoke(main, called, env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = orjson.loads((tmp_path / "out" / "what-if.json").read_bytes())
        return found

    live = result("--against", f"kafka://{settings.broker}/")
    old = tmp_path / "old.yaml"
    old.write_text(POLICY_TEXT)
    of_file = result("--against", str(events), "--old", str(old))
    assert live["policies"] == of_file["policies"] == {"old": "test-1", "new": "test-2"}
    assert live["events"] == of_file["events"] == len(history())
    assert [one["subject"] for one in live["subjects"]] == ["tenant:loud"]
    # whom a person blocked is blocked under both policies, of which a file knows nothing
    assert (live["old"]["denied"], of_file["old"]["denied"]) == (2, 1)
    groups = AdminClient({"bootstrap.servers": settings.broker}).list_consumer_groups().result().valid
    assert settings.group not in {group.group_id for group in groups}
