"""Who may do what on the broker: one user per component, each with what it needs and no more.

Kafka denies what no grant allows. The manifests, the threat model's table and the tests are made from here.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from stream_app.topology import Stage, TopicName, stage_group, topic


class Resource(StrEnum):
    """Kinds of what a grant is about, as Strimzi spells them."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactionalId"
    CLUSTER = "cluster"


class Operation(StrEnum):
    """What may be done with it, as Kafka spells it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


class Grant(Struct, frozen=True):
    """Leave to do something with one resource, or with all whose names begin with ``name``."""

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    is_prefix: bool = False


class Component(Struct, frozen=True):
    """One user: what it reads and writes, the stage whose group it joins, and what it may know and make beyond that."""

    does: str
    reads: tuple[TopicName, ...] = ()
    writes: tuple[TopicName, ...] = ()
    stage: Stage | None = None
    sees_all: bool = False
    sees_groups: bool = False
    sees_cluster: bool = False
    creates: bool = False


COMPONENTS = {
    "worker": Component(
        does="judges tenants",
        reads=(
            TopicName.REQUESTS,
            TopicName.TENANT_STATE,
            TopicName.JOURNAL,
            TopicName.OPERATOR,
            TopicName.VERDICTS,
        ),
        writes=(
            TopicName.TENANT_STATE,
            TopicName.JOURNAL,
            TopicName.DECISIONS,
            TopicName.DECISION_LOG,
            TopicName.DEAD_LETTERS,
            TopicName.SIGNALS,
        ),
        stage=Stage.TENANTS,
        sees_all=True,  # it compares the topics with the map before it starts
    ),
    "campaigns": Component(
        does="judges campaigns",
        reads=(TopicName.SIGNALS, TopicName.CAMPAIGN_STATE, TopicName.CAMPAIGN_JOURNAL, TopicName.OPERATOR),
        writes=(
            TopicName.CAMPAIGN_STATE,
            TopicName.CAMPAIGN_JOURNAL,
            TopicName.CAMPAIGNS,
            TopicName.CAMPAIGN_LOG,
            TopicName.VERDICTS,
            TopicName.DEAD_LETTERS,
        ),
        stage=Stage.CAMPAIGNS,
        sees_all=True,
    ),
    "limiter": Component(does="obeys decisions", reads=(TopicName.DECISIONS, TopicName.OPERATOR)),
    "gateway": Component(does="tells of requests", writes=(TopicName.REQUESTS, TopicName.DEAD_LETTERS)),
    "litellm": Component(
        does="tells of requests, and obeys decisions",
        reads=(TopicName.DECISIONS, TopicName.OPERATOR),
        writes=(TopicName.REQUESTS,),
    ),
    "operator": Component(
        does="looks at decisions and campaigns, overrules the detector, sends refused inputs again",
        reads=(
            TopicName.REQUESTS,
            TopicName.SIGNALS,
            TopicName.JOURNAL,
            TopicName.CAMPAIGN_JOURNAL,
            TopicName.VERDICTS,
            TopicName.DECISION_LOG,
            TopicName.OPERATOR,
            TopicName.CAMPAIGNS,
            TopicName.CAMPAIGN_LOG,
            TopicName.DEAD_LETTERS,
        ),
        writes=(TopicName.REQUESTS, TopicName.OPERATOR),
        sees_all=True,
        sees_groups=True,  # how far behind they are; and librdkafka asks for its group even when it reads without one
        sees_cluster=True,
    ),
    "console": Component(
        does="shows decisions and campaigns, and writes what people order there",
        reads=(
            TopicName.REQUESTS,
            TopicName.SIGNALS,
            TopicName.DECISIONS,
            TopicName.DECISION_LOG,
            TopicName.OPERATOR,
            TopicName.CAMPAIGNS,
            TopicName.CAMPAIGN_LOG,
        ),
        writes=(TopicName.OPERATOR,),
        sees_groups=True,  # librdkafka asks for its group even when it reads without one
    ),
    "topics": Component(does="creates topics", sees_all=True, creates=True),
}


#: The component that a worker of a stage is.
COMPONENT_OF = {of.stage: name for name, of in COMPONENTS.items() if of.stage is not None}


def grants(component: str, *, prefix: str, group: str) -> list[Grant]:
    """What a component of the deployment with this topic prefix and group is granted."""
    of = COMPONENTS[component]
    names: Sequence[TopicName] = [name for name in TopicName if name in of.reads or name in of.writes]
    found = [Grant(Resource.TOPIC, topic(prefix, name), _operations(of, name)) for name in names]
    if of.sees_all:
        sees = (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS)
        all_topics = (Operation.CREATE, *sees) if of.creates else sees
        found.append(Grant(Resource.TOPIC, f"{prefix}.", all_topics, is_prefix=True))
    if of.sees_cluster:
        found.append(Grant(Resource.CLUSTER, "kafka-cluster", (Operation.DESCRIBE,)))
    if of.sees_groups:
        found += [Grant(Resource.GROUP, stage_group(group, stage), (Operation.DESCRIBE,)) for stage in Stage]
    if of.stage is not None:
        joined = stage_group(group, of.stage)
        found.append(Grant(Resource.GROUP, joined, (Operation.READ, Operation.DESCRIBE)))
        # one transactional producer a partition, named by group and partition
        transacts = (Operation.WRITE, Operation.DESCRIBE)
        found.append(Grant(Resource.TRANSACTIONAL_ID, f"{joined}-", transacts, is_prefix=True))
    return found


def _operations(of: Component, name: TopicName) -> tuple[Operation, ...]:
    reads, writes = name in of.reads, name in of.writes
    return (*(Operation.READ,) * reads, *(Operation.WRITE,) * writes, Operation.DESCRIBE)
