"""Gateways on a real broker: a real LiteLLM proxy in and out, logs in, and no prompt anywhere."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema_rs
import orjson
import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream_app.cli.gateway_events import gateway_events
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import ROOT, KafkaRecords, _free_ports
from tests.conftest import SettingsFor
from tests.integration.litellm_proxy import NoLiteLLMError, Proxy, running_proxy
from tests.unit import gateway_samples as samples

SCHEMA = jsonschema_rs.Draft202012Validator(
    orjson.loads((ROOT / "schemas" / "event" / "v1.schema.json").read_bytes()), validate_formats=True
)
WAIT_S = 30

pytestmark = [pytest.mark.kafka, pytest.mark.parametrize("broker", ["real"], indirect=True)]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "sketch.key"
    path.write_text(f"k1:{'07' * 32}\n")
    path.chmod(0o600)
    return path


def stored(settings: Settings) -> dict[str, list[tuple[bytes, bytes, list[tuple[str, bytes | None]]]]]:
    """Key, value and headers of everything in every topic of the deployment."""
    found = {}
    for name in map(settings.topic, TopicName):
        with KafkaRecords(settings.broker, name) as topic:
            found[name] = [(r.key or b"", r.value or b"", r.headers) for r in topic.read_to_end()]
    return found


def assert_no_canary(settings: Settings, *texts: bytes) -> None:
    topics = stored(settings)
    assert topics[settings.topic(TopicName.REQUESTS)]
    for name, records in topics.items():
        for key, value, headers in records:
            assert samples.CANARY.encode() not in key + value + repr(headers).encode(), name
    assert all(samples.CANARY.encode() not in text for text in texts)


def events(settings: Settings) -> list[dict[str, object]]:
    return [orjson.loads(value) for _, value, _ in stored(settings)[settings.topic(TopicName.REQUESTS)]]


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s"
        time.sleep(0.2)


def block(settings: Settings, tenant: str) -> None:
    now = datetime.now(UTC)
    decision = {
        "decision_id": "d-1",
        "scope": "tenant",
        "subject": tenant,
        "tenant_id": tenant,
        "action": "block",
        "simulated": False,
        "origin": "detector",
        "reasons": [{"code": "requests_60s"}],
        "expires_at": (now + timedelta(hours=1)).isoformat(),
        "revision": 1,
    }
    producer = Producer({"bootstrap.servers": settings.broker, "partitioner": "murmur2"})
    producer.produce(settings.topic(TopicName.DECISIONS), orjson.dumps(decision), key=f"tenant:{tenant}".encode())
    assert producer.flush(10) == 0


def ask(proxy: Proxy, tenant: str) -> int:
    return proxy.ask(tenant, samples.PROMPT, samples.SYSTEM).status


@pytest.mark.slow
def test_litellm_tells_of_requests_and_refuses_whom_a_decision_blocks(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path, key_file: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    environment = {
        "STILLWATCH_BROKER": settings.broker,
        "STILLWATCH_TOPIC_PREFIX": topic_prefix,
        "STILLWATCH_SKETCH_KEY_FILE": str(key_file),
    }
    (port,) = _free_ports(1)
    try:
        with running_proxy(tmp_path, port, environment) as proxy:
            assert ask(proxy, "acme") == 200
            eventually(lambda: len(events(settings)) == 1)
            (event,) = events(settings)
            SCHEMA.validate(event)
            assert (event["tenant_id"], event["model"], event["status_code"]) == ("acme", "large-2", 200)
            assert event["prompt"]["key_id"] == "k1"

            block(settings, "acme")
            eventually(lambda: ask(proxy, "acme") == 429)
            refused = proxy.ask("acme", samples.PROMPT, samples.SYSTEM)
            assert refused.status == 429
            assert 3500 < int(refused.headers["Retry-After"]) <= 3600
            assert refused.headers["X-Stillwatch-Reason"] == "requests_60s"
            assert ask(proxy, "globex") == 200

            eventually(lambda: {429, 200} == {told["status_code"] for told in events(settings)})
            eventually(lambda: "globex" in {told["tenant_id"] for told in events(settings)})
        assert_no_canary(settings, proxy.log.read_bytes())
    except NoLiteLLMError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


LOGS = {"kong": samples.KONG, "envoy": samples.ENVOY, "otel": samples.OTEL_SPANS}


def test_a_topic_is_taken_up_where_it_was_left(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    log = f"{topic_prefix}-access-log"
    admin = AdminClient({"bootstrap.servers": settings.broker})
    admin.create_topics([NewTopic(log, 2, 1)])[log].result(WAIT_S)
    environment = {"STILLWATCH_BROKER": settings.broker, "STILLWATCH_TOPIC_PREFIX": topic_prefix}
    environment |= {"STILLWATCH_GROUP": topic_prefix}
    arguments = ["--from", "kong", "--topic", log, "--until-end"]
    producer = Producer({"bootstrap.servers": settings.broker})

    def told_after(number: int) -> str:
        for _ in range(number):
            producer.produce(log, orjson.dumps(samples.KONG))
        producer.flush()
        return CliRunner().invoke(gateway_events, arguments, env=environment).output

    assert "3 events sent, 0 dead letters" in told_after(3)
    assert "0 events sent, 0 dead letters" in told_after(0)
    assert "1 events sent, 0 dead letters" in told_after(1)
    assert len(events(settings)) == 4


def test_logs_become_events_and_dead_letters_without_a_word_of_a_prompt(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path, key_file: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    environment = {"STILLWATCH_BROKER": settings.broker, "STILLWATCH_TOPIC_PREFIX": topic_prefix}
    said = b""
    for kind, record in LOGS.items():
        log = tmp_path / f"{kind}.jsonl"
        log.write_bytes(orjson.dumps(record) + b"\n" + f'{{"{samples.CANARY}": \n'.encode())
        arguments = ["--from", kind, "--file", str(log), "--key-file", str(key_file)]
        done = CliRunner().invoke(gateway_events, arguments, env=environment)
        said += done.output.encode()
        assert (done.exit_code, "1 events sent, 1 dead letters" in done.output) == (1, True), done.output
    assert len(events(settings)) == len(LOGS)
    for event in events(settings):
        SCHEMA.validate(event)
    letters = [orjson.loads(value) for _, value, _ in stored(settings)[settings.topic(TopicName.DEAD_LETTERS)]]
    assert [(letter["reason"], letter["offset"]) for letter in letters] == [("not_json", 1)] * len(LOGS)
    assert_no_canary(settings, said)
