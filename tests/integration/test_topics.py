"""Topics are created once, and every difference from the map is named."""

from collections.abc import Callable, Iterator

import msgspec
import pytest
from click.testing import CliRunner, Result

from stream_app.adapters.admission import BrokerError
from stream_app.adapters.topic_admin import (
    Difference,
    check_topics,
    create_topics,
    partition_counts,
)
from stream_app.cli.topics import topics
from stream_app.settings import Settings
from stream_app.topology import TOPICS, TopicName
from tests import brokers
from tests.brokers import TestBroker

NOBODY_LISTENS = "127.0.0.1:1"

Run = Callable[..., Result]


@pytest.fixture
def settings(real_kafka: str, topic_prefix: str) -> Iterator[Settings]:
    yield Settings(broker=real_kafka, topic_prefix=topic_prefix, partitions=3)
    brokers.delete_topics(real_kafka, topic_prefix)


@pytest.fixture
def run(settings: Settings) -> Run:
    own = {
        "STILLWATCH_BROKER": settings.broker,
        "STILLWATCH_TOPIC_PREFIX": settings.topic_prefix,
        "STILLWATCH_PARTITIONS": str(settings.partitions),
    }
    return lambda *arguments, **env: CliRunner().invoke(topics, arguments, env=own | env)


@pytest.mark.kafka
def test_created_topics_are_as_the_map_has_them(settings: Settings) -> None:
    answer = create_topics(settings)
    assert answer.created == [settings.topic(spec.name) for spec in TOPICS]
    assert answer.existing == []
    assert check_topics(settings) == []


@pytest.mark.kafka
def test_creating_again_changes_nothing(settings: Settings) -> None:
    first = create_topics(settings)
    again = create_topics(settings)
    assert (again.created, again.existing) == ([], first.created)


@pytest.mark.kafka
def test_missing_topics_are_named(settings: Settings) -> None:
    create_topics(settings, TOPICS[1:])
    assert check_topics(settings) == [Difference(settings.topic(TOPICS[0].name), "topic", "present", "missing")]


@pytest.mark.kafka
def test_an_existing_topic_is_left_alone_and_each_difference_named(settings: Settings) -> None:
    name = settings.topic(TopicName.DECISIONS)
    brokers.create_topics(settings.broker, {name: 1})
    answer = create_topics(settings)
    assert answer.existing == [name]
    assert len(answer.created) == len(TOPICS) - 1
    found = {difference.setting: (difference.expected, difference.actual) for difference in check_topics(settings)}
    assert found == {
        "partitions": ("3", "1"),
        "cleanup.policy": ("compact", "delete"),
        "min.compaction.lag.ms": ("3600000", "0"),
    }


@pytest.mark.kafka
def test_fewer_replicas_than_asked_for_are_a_difference(settings: Settings) -> None:
    create_topics(settings)
    asked = settings.model_copy(update={"replication_factor": 3})
    assert {(one.setting, one.expected, one.actual) for one in check_topics(asked)} == {
        ("replication.factor", "3", "1")
    }


@pytest.mark.kafka
def test_a_refusal_names_the_topic_in_one_line(settings: Settings) -> None:
    with pytest.raises(BrokerError, match=r"refused topic .*requests\.v1") as refused:
        create_topics(settings.model_copy(update={"replication_factor": 2}))
    assert "\n" not in str(refused.value)


def test_no_broker_is_told_in_one_line() -> None:
    with pytest.raises(BrokerError, match=f"no Kafka broker answers at {NOBODY_LISTENS}") as refused:
        check_topics(Settings(broker=NOBODY_LISTENS))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ask", [create_topics, check_topics])
def test_an_embedded_broker_is_refused(ask: Callable[[Settings], object], embedded_broker: TestBroker) -> None:
    with pytest.raises(BrokerError, match="is embedded"):
        ask(Settings(broker=embedded_broker.with_topics({"a": 1}), embedded=True))


def test_only_topics_without_a_number_follow_the_deployment() -> None:
    counts = partition_counts(Settings(topic_prefix="p", partitions=12))
    assert counts["p.requests.v1"] == counts["p.decisions.v1"] == 12
    assert counts["p.operator.v1"] == counts["p.dead-letters.v1"] == 1


@pytest.mark.kafka
def test_commands_create_then_check(run: Run, settings: Settings) -> None:
    before = run("check")
    assert before.exit_code == 1
    assert before.stdout.splitlines() == [f"{name} is missing" for name in partition_counts(settings)]
    assert run("create").stdout.count("created") == len(TOPICS)
    after = run("check")
    assert (after.exit_code, after.stdout) == (0, "ok\n")


@pytest.mark.kafka
def test_commands_write_json(run: Run, settings: Settings) -> None:
    created = msgspec.json.decode(run("create", "--json").stdout)
    assert created == {"created": list(partition_counts(settings)), "existing": []}
    assert msgspec.json.decode(run("check", "--json").stdout) == {"ok": True, "differences": []}
    other = run("check", "--json", STILLWATCH_PARTITIONS="5")
    answer = msgspec.json.decode(other.stdout)
    assert (other.exit_code, answer["ok"]) == (1, False)
    assert answer["differences"][0] == {
        "topic": settings.topic(TopicName.REQUESTS),
        "setting": "partitions",
        "expected": "5",
        "actual": "3",
    }


@pytest.mark.parametrize("command", ["create", "check"])
def test_commands_without_a_broker_fail_in_one_line(command: str) -> None:
    result = CliRunner().invoke(topics, [command], env={"STILLWATCH_BROKER": NOBODY_LISTENS})
    assert (result.exit_code, result.stdout) == (1, "")
    told = f"no Kafka broker answers at {NOBODY_LISTENS} (Connection refused); is STILLWATCH_BROKER right?"
    assert result.stderr == f"Error: {told}\n"


def test_wrong_settings_are_a_usage_error() -> None:
    result = CliRunner().invoke(topics, ["check"], env={"STILLWATCH_BROKER": "nowhere", "STILLWATCH_PARTITIONS": "0"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["STILLWATCH_BROKER", "STILLWATCH_PARTITIONS"]
