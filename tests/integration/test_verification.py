"""What a steered worker decided follows, field by field, from what Kafka holds; forgeries and gaps are told."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import structs

from stream_app.cli import main
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.integration.streaming import TIMEOUT_S, Deployment, deployment
from tests.integration.test_worker import NOW, burst, operator_record, touchy_policy

pytestmark = [pytest.mark.kafka, pytest.mark.parametrize("broker", ["real"], indirect=True)]


def verify(settings: Settings, *words: str) -> tuple[int, dict[str, Any]]:
    given = {f"STILLWATCH_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_none=True).items()}
    called = ["replay", "--verify", "kafka://", "--json", *words]
    done = CliRunner().invoke(main, called, env=given, catch_exceptions=False)
    return done.exit_code, orjson.loads(done.stdout)


def steer(running: Deployment) -> None:
    expires_at = (NOW + timedelta(hours=1)).isoformat()
    steps = [
        operator_record(1, "policy", body={"yaml": touchy_policy()}),
        operator_record(2, "override", subject="tenant:foe", expires_at=expires_at, body={"action": "throttle"}),
        operator_record(3, "release", subject="tenant:foe"),
    ]
    places = [2, 3, 4]  # a policy is told to both partitions, what is said of a tenant to one
    for number, step in enumerate(steps):
        for tenant_id in ("foe", "calm", f"loud-{number}"):
            running.send_events(burst(tenant_id, 100 * number, 100, NOW + timedelta(seconds=40 * number - 300)))
        running.wait_for(300 * (number + 1))
        running.operate(step)
        running.read_until(TopicName.JOURNAL, places[number])
    running.send_events(burst("loud-3", 0, 100, NOW))
    running.wait_for(1_000)


def test_a_live_run_is_proven_from_what_kafka_holds(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix, partitions=2)
    with deployment(settings, tmp_path) as running:
        steer(running)
    made = running.decisions()
    status, found = verify(settings)
    assert (status, found["identical"], found["limits"]) == (0, len(made), []), found
    assert {decision.origin for decision in made} == {"detector", "operator"}
    assert verify(settings, "--sample", "2")[1]["identical"] == 2

    forged = structs.replace(made[0], issued_at="2026-01-01T00:00:00Z")
    log = settings.topic(TopicName.DECISION_LOG)
    running.producer.produce(log, msgspec.json.encode(forged), key=forged.key.encode())
    running.producer.flush()
    status, found = verify(settings)
    (difference,) = found["differences"]
    assert (status, difference["decision_id"], difference["field"]) == (1, made[0].decision_id, "issued_at")

    requests = settings.topic(TopicName.REQUESTS)
    gone = [TopicPartition(requests, number, 200) for number in range(2)]
    admin = AdminClient({"bootstrap.servers": settings.broker})
    for outcome in admin.delete_records(gone).values():
        outcome.result(TIMEOUT_S)
    status, found = verify(settings)
    assert (status, found["differences"]) == (1, [])
    assert any("from offset 200 on, older ones are no longer kept" in str(limit) for limit in found["limits"])
