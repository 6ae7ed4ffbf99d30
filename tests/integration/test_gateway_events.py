"""Gateways on a real broker: a real LiteLLM proxy in and out, logs in, and no prompt anywhere."""

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream_app.adapters.operator_topic import new_record, publish
from stream_app.cli.gateway_events import gateway_events
from stream_app.demo.workers import running_worker
from stream_app.detection.operators import RecordType
from stream_app.settings import LogLevel, Settings
from stream_app.signatures import make_keys
from stream_app.topology import Stage, TopicName
from tests.brokers import ROOT, KafkaRecords, _free_ports
from tests.conftest import SettingsFor
from tests.integration.gateways import answers, free_port, get, process
from tests.integration.litellm_proxy import NoLiteLLMError, Proxy, running_proxy
from tests.integration.streaming import deployment
from tests.unit import gateway_samples as samples
from tests.unit.streams import operator_record

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


def events(settings: Settings) -> list[dict[str, Any]]:
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


def order(settings: Settings, *, enforced: bool) -> None:
    publish(settings, new_record(RecordType.ENFORCEMENT, by="jo", reason="test", body={"enforced": enforced}))


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
        "STILLWATCH_OPERATOR_KEYS": str(make_keys(tmp_path / "ours")[0]),
    }
    make_keys(tmp_path / "theirs")
    ours, theirs = (settings.model_copy(update={"signing_key": tmp_path / name}) for name in ("ours", "theirs"))
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
            order(ours, enforced=False)
            eventually(lambda: ask(proxy, "acme") == 200)
            order(settings, enforced=True)  # unsigned, which changes nothing
            order(theirs, enforced=True)
            assert ask(proxy, "acme") == 200
            order(ours, enforced=True)
            eventually(lambda: ask(proxy, "acme") == 429)

            eventually(lambda: {429, 200} == {told["status_code"] for told in events(settings)})
            eventually(lambda: "globex" in {told["tenant_id"] for told in events(settings)})
        assert_no_canary(settings, proxy.log.read_bytes())
    except NoLiteLLMError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


BLOCK = {"action": "block"}
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


def test_what_was_refused_is_sent_again_from_the_log_and_nothing_else(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    settings = create_topics_for(topic_prefix)
    environment = {"STILLWATCH_BROKER": settings.broker, "STILLWATCH_TOPIC_PREFIX": topic_prefix}
    nameless = {name: part for name, part in samples.KONG.items() if name not in ("consumer", "authenticated_entity")}
    lines = [orjson.dumps(record) for record in (samples.KONG, nameless, samples.KONG, nameless)]
    log, topic = tmp_path / "access.jsonl", f"{topic_prefix}-access-log"
    log.write_bytes(b"\n".join(lines))
    admin = AdminClient({"bootstrap.servers": settings.broker})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT_S)
    producer = Producer({"bootstrap.servers": settings.broker})
    for line in lines:
        producer.produce(topic, line)
    producer.flush()

    def told(*words: str) -> str:
        return CliRunner().invoke(gateway_events, ["--from", "kong", *words], env=environment).output

    for source in (("--file", str(log)), ("--topic", topic, "--until-end")):
        began = datetime.now(UTC).isoformat()
        assert "2 events sent, 2 dead letters" in told(*source)
        mended = ("--tenant", "header.x-tenant", "--account", "header.user-agent", "--refused-since")
        assert "2 events sent, 0 dead letters" in told(*source, *mended, began)
        assert "0 events sent, 0 dead letters" in told(*source, *mended, datetime.now(UTC).isoformat())
    tenants = [event["tenant_id"] for event in events(settings)]
    assert (tenants.count("acme"), tenants.count("globex")) == (4, 4)


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


def holders(places: dict[str, bytes], text: str) -> set[str]:
    return {name for name, content in places.items() if text.encode() in content}


def metrics_of(port: int) -> bytes:
    return get(port, "/metrics", {}).body


def test_no_prompt_reaches_a_topic_a_state_a_log_or_a_metric(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path, key_file: Path
) -> None:
    """Logs with prompts in, both stages and a limiter at work; what the tenant's name is found in, no prompt is."""
    settings = create_topics_for(topic_prefix, partitions=1).model_copy(
        update={"log_level": LogLevel.DEBUG, "historic": True}
    )
    campaigns = settings.model_copy(update={"stage": Stage.CAMPAIGNS})
    given = settings.model_dump(exclude_none=True)
    environment = {f"STILLWATCH_{name.upper()}": str(value) for name, value in given.items()}
    port, limiter_log = free_port(), tmp_path / "limiter.log"
    expires_at = (datetime.now(UTC) + timedelta(days=900)).isoformat()
    with deployment(settings, tmp_path) as running, running_worker(campaigns, tmp_path / "campaigns.log") as second:
        running.operate(operator_record("override", 0, subject="tenant:acme", expires_at=expires_at, body=BLOCK))
        for kind, record in LOGS.items():
            (tmp_path / kind).write_bytes(orjson.dumps(record) + b"\n" + samples.CANARY.encode())
            arguments = ["--from", kind, "--file", str(tmp_path / kind), "--key-file", str(key_file)]
            assert CliRunner().invoke(gateway_events, arguments, env=environment).exit_code == 1
        running.wait_for(len(LOGS))
        running.read_until(TopicName.SIGNALS, 1)
        eventually(lambda: (counts := second.face.counts()) is not None and counts.handled >= 1)
        words = (sys.executable, "-m", "stream_app", "limiter", "--port", str(port))
        with process(*words, env=environment, log=limiter_log):
            eventually(lambda: answers(port, "/ready"))
            eventually(lambda: get(port, "/ext_authz", {"x-tenant-id": "acme"}).status == 429)
            told = get(port, "/ext_authz", {"x-tenant-id": "acme"})
            metrics = {
                "worker metrics": metrics_of(running.worker.face.port),
                "campaigns metrics": metrics_of(second.face.port),
                "limiter metrics": metrics_of(port),
            }
    topics = {
        name: b"\n".join(key + value + repr(headers).encode() for key, value, headers in records)
        for name, records in stored(settings).items()
    }
    logs = {name: (tmp_path / name).read_bytes() for name in ("worker.log", "campaigns.log", "limiter.log")}
    places = topics | logs | metrics | {"answer": repr(told).encode()}
    assert holders(places, samples.CANARY) == set()
    named = map(settings.topic, (TopicName.REQUESTS, TopicName.TENANT_STATE, TopicName.DECISIONS, TopicName.SIGNALS))
    assert holders(places, "acme") >= {*named, settings.topic(TopicName.CAMPAIGN_STATE), "worker.log"}
    assert holders(metrics, "_total") == set(metrics)
    assert holders(topics, "simhash") >= {settings.topic(TopicName.REQUESTS)}  # prompts were read, not left out
