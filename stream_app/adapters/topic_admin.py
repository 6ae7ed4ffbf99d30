"""What is asked of a broker before work starts: create our topics, compare them with the map, tell the time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from msgspec import Struct

from stream_app.adapters.admission import CONNECT_TIMEOUT_S, BrokerError, RefusedError, check_admission, may_join
from stream_app.adapters.credentials import python_security
from stream_app.grants import Operation, Resource, grants
from stream_app.settings import Settings
from stream_app.topology import TOPICS, TopicSpec

#: The clients' own default; creating a topic of many partitions on a busy cluster takes seconds.
REQUEST_TIMEOUT_MS = 30_000


class Difference(Struct, frozen=True):
    """One setting of one topic that is not as the map has it; a missing topic has the setting ``topic``."""

    topic: str
    setting: str
    expected: str
    actual: str

    def __str__(self) -> str:
        if self.setting == "topic":
            return f"{self.topic} is missing"
        return f"{self.topic}: {self.setting} is {self.actual}, should be {self.expected}"


class CreatedTopics(Struct, frozen=True):
    """Full names of the topics made now, and of those that were there and have been left as they were."""

    created: list[str]
    existing: list[str]


def partition_counts(settings: Settings, specs: tuple[TopicSpec, ...] = TOPICS) -> dict[str, int]:
    """Full topic name to the number of partitions this deployment asks for."""
    return {settings.topic(spec.name): spec.partitions or settings.partitions for spec in specs}


def create_topics(settings: Settings, specs: tuple[TopicSpec, ...] = TOPICS) -> CreatedTopics:
    """Create the topics that are missing and wait until each has a leader; existing ones are not altered.

    Raises ``BrokerError`` when the broker does not answer or refuses a topic; topics before it then exist.
    """
    _refuse_embedded(settings)
    counts = partition_counts(settings, specs)
    wanted = {
        settings.topic(spec.name): {
            "num_partitions": counts[settings.topic(spec.name)],
            "replication_factor": settings.replication_factor,
            "configs": spec.config,
        }
        for spec in specs
    }
    with _connected(settings) as admin:
        answer = admin.create_topics(wanted, raise_errors=False)
        errors = {topic["name"]: topic for topic in answer["topics"] if topic["error_code"]}
        existing = [name for name in wanted if _is_error(errors.get(name), TopicAlreadyExistsError)]
        for name, topic in errors.items():
            if name not in existing:
                raise BrokerError(f"{settings.broker} refused topic {name}: {_error_text(topic)}")
        created = [name for name in wanted if name not in errors]
        admin.wait_for_topics(created)
    return CreatedTopics(created, existing)


def check_topics(settings: Settings, specs: tuple[TopicSpec, ...] = TOPICS) -> list[Difference]:
    """Every difference between the broker's topics and the map, in the map's order; empty when all is right.

    More replicas than asked for are no difference. Raises ``BrokerError``.
    """
    _refuse_embedded(settings)
    counts = partition_counts(settings, specs)
    with _connected(settings) as admin:
        described = {topic["name"]: topic for topic in admin.describe_topics(list(counts))}
        missing = {name for name in counts if _is_error(described.get(name), UnknownTopicOrPartitionError)}
        for name in counts:
            if name not in missing and described[name]["error_code"]:
                raise BrokerError(f"{settings.broker} does not describe {name}: {_error_text(described[name])}")
        config = _topic_config(admin, [name for name in counts if name not in missing])
    differences = []
    for spec in specs:
        name = settings.topic(spec.name)
        if name in missing:
            differences.append(Difference(name, "topic", "present", "missing"))
        else:
            partitions = described[name]["partitions"]
            replicas = min(len(partition["replica_nodes"]) for partition in partitions)
            differences += _shape_differences(name, counts[name], len(partitions), settings, replicas)
            differences += _config_differences(name, spec.config, config[name])
    return differences


def check_rights(settings: Settings, component: str) -> None:
    """Ask the broker what we may do with our topics; raises ``RefusedError`` naming what a component lacks.

    Topics that are missing are left to ``check_topics``; transactions cannot be asked for beforehand.
    """
    granted = grants(component, prefix=settings.topic_prefix, group=settings.group)
    wanted = {g.name: g.operations for g in granted if g.resource is Resource.TOPIC and not g.is_prefix}
    groups = [g.name for g in granted if g.resource is Resource.GROUP and Operation.READ in g.operations]
    lacking = []
    with _connected(settings) as admin:
        answers = {topic["name"]: topic for topic in admin.describe_topics(list(wanted))}
        for name, operations in wanted.items():
            described = answers[name]
            is_hidden = _is_error(described, TopicAuthorizationFailedError)
            if described["error_code"] and not is_hidden:
                continue
            allowed = () if is_hidden else described["authorized_operations"]
            if missing := [operation.value for operation in operations if operation.name not in allowed]:
                lacking.append(f"{' and '.join(missing)} {name}")
    lacking += [f"join group {group}" for group in groups if not may_join(settings, group)]
    if lacking:
        who = settings.sasl_username or "we"
        raise RefusedError(f"{settings.broker}: {who} may not " + ", nor ".join(lacking))


def count_brokers(settings: Settings) -> int:
    """How many brokers the cluster has; raises ``BrokerError`` when none answers."""
    with _connected(settings) as admin:
        return len(admin.describe_cluster()["brokers"])


def clock_difference_ms(settings: Settings) -> float:
    """How far the clock of the cluster's active controller is ahead of ours, in processing time.

    The controller stamps its own entry in the answer to DescribeQuorum (KIP-836) with its time; half of the round
    trip is the error. Needs KRaft and the right to describe the cluster. Raises ``BrokerError``.
    """
    with _connected(settings) as admin:
        admin.describe_metadata_quorum()  # opens the connections, so that the next round trip is short
        before = time.time()
        quorum = admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
        after = time.time()
    stamps = {voter["replica_id"]: voter["last_caught_up_timestamp"] for voter in quorum["current_voters"]}
    stamp = stamps.get(quorum["leader_id"], -1)
    if stamp < 0:
        raise BrokerError(f"{settings.broker} does not tell its time")
    return float(stamp - (before + after) / 2 * 1000)


def _refuse_embedded(settings: Settings) -> None:
    if settings.embedded:
        raise BrokerError(f"{settings.broker} is embedded: it gets its topics at start, without settings of their own")


@contextmanager
def _connected(settings: Settings) -> Iterator[KafkaAdminClient]:
    check_admission(settings)
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=[server.strip() for server in settings.broker.split(",")],
            client_id="stillwatch-admin",
            bootstrap_timeout_ms=round(CONNECT_TIMEOUT_S * 1000),
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            api_version=(2, 0) if settings.embedded else None,
            **python_security(settings),
        )
    except KafkaError as error:
        raise BrokerError(
            f"what listens at {settings.broker} does not answer as Kafka (TLS, or another port?)"
        ) from error
    try:
        yield admin
    except KafkaError as error:
        raise BrokerError(f"{settings.broker}: {' '.join(str(error).split())}") from error
    finally:
        admin.close()


def _is_error(topic: dict[str, int] | None, error: type[KafkaError]) -> bool:
    return topic is not None and for_code(topic["error_code"]) is error


def _error_text(topic: dict[str, object]) -> str:
    return str(topic.get("error_message") or for_code(topic["error_code"]).__name__)


def _topic_config(admin: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, dict[str, str]]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described: dict[str, dict[str, dict[str, str]]] = admin.describe_configs(resources, config_filter="all")["topic"]
    return described


def _shape_differences(
    name: str, expected: int, actual: int, settings: Settings, replicas: int
) -> Iterator[Difference]:
    if actual != expected:
        yield Difference(name, "partitions", str(expected), str(actual))
    if replicas < settings.replication_factor:
        yield Difference(name, "replication.factor", str(settings.replication_factor), str(replicas))


def _config_differences(name: str, expected: dict[str, str], actual: dict[str, dict[str, str]]) -> Iterator[Difference]:
    for setting, value in expected.items():
        found = actual[setting]["value"] if setting in actual else "unknown to the broker"
        if found != value:
            yield Difference(name, setting, value, found)
