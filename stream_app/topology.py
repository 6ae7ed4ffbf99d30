"""The map: every topic, its key, value, partitions and retention, who writes it and who reads it."""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

DAY_MS = 86_400_000


class TopicName(StrEnum):
    """Topic names without the configurable prefix."""

    REQUESTS = "requests.v1"
    TENANT_STATE = "tenant-state.v1"
    DECISIONS = "decisions.v1"
    DECISION_LOG = "decision-log.v1"
    OPERATOR = "operator.v1"
    JOURNAL = "journal.v1"
    DEAD_LETTERS = "dead-letters.v1"
    SIGNALS = "signals.v1"
    CAMPAIGN_STATE = "campaign-state.v1"
    CAMPAIGN_JOURNAL = "campaign-journal.v1"
    CAMPAIGNS = "campaigns.v1"
    CAMPAIGN_LOG = "campaign-log.v1"
    VERDICTS = "verdicts.v1"


class Stage(StrEnum):
    """The two keyed stages, each a consumer group of its own: tenants one by one, and what joins them."""

    TENANTS = "tenants"
    CAMPAIGNS = "campaigns"


class StageTopics(NamedTuple):
    """What a stage reads, and where its states and the places of its instructions are kept."""

    source: TopicName
    state: TopicName
    journal: TopicName


STAGES = {
    Stage.TENANTS: StageTopics(TopicName.REQUESTS, TopicName.TENANT_STATE, TopicName.JOURNAL),
    Stage.CAMPAIGNS: StageTopics(TopicName.SIGNALS, TopicName.CAMPAIGN_STATE, TopicName.CAMPAIGN_JOURNAL),
}


class TopicSpec(Struct, frozen=True):
    """How one topic is created and checked; ``partitions`` None means as many as the deployment asks for."""

    name: TopicName
    key: str
    value: str
    written_by: str
    read_by: str
    partitions: int | None
    config: dict[str, str]


TOPICS = (
    TopicSpec(
        TopicName.REQUESTS,
        key="tenant_id",
        value="event v1, or an array of one tenant's events",
        written_by="gateways",
        read_by="workers",
        partitions=None,
        config={"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS), "max.message.bytes": "1048588"},
    ),
    TopicSpec(
        TopicName.TENANT_STATE,
        key="tenant_id, or the partition's reserved key",
        value="encoded state, the table's changelog",
        written_by="the worker that owns the partition",
        read_by="the next owner",
        partitions=None,
        config={"cleanup.policy": "compact"},
    ),
    TopicSpec(
        TopicName.DECISIONS,
        key="scope:subject",
        value="decision v1, or nothing (forgotten)",
        written_by="workers",
        read_by="limiters, console",
        partitions=None,
        config={"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "delete.retention.ms": str(DAY_MS)},
    ),
    TopicSpec(
        TopicName.DECISION_LOG,
        key="scope:subject",
        value="decision v1, every one ever made",
        written_by="workers",
        read_by="stillwatch decisions, console",
        partitions=None,
        config={"cleanup.policy": "delete", "retention.ms": str(400 * DAY_MS)},
    ),
    TopicSpec(
        TopicName.OPERATOR,
        key="subject or policy",
        value="operator record v1",
        written_by="people, through the command line or the console",
        read_by="every worker and every limiter, from the start, without a group",
        partitions=1,
        config={"cleanup.policy": "delete", "retention.ms": "-1"},
    ),
    TopicSpec(
        TopicName.JOURNAL,
        key="none",
        value="where among a partition's events an operator record took effect",
        written_by="the worker that owns the partition",
        read_by="the next owner, replay",
        partitions=None,
        config={"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
    ),
    TopicSpec(
        TopicName.DEAD_LETTERS,
        key="topic/partition/offset/index",
        value="dead letter v1, the refused bytes in header `original`",
        written_by="workers",
        read_by="people",
        partitions=1,
        config={"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
    ),
    TopicSpec(
        TopicName.SIGNALS,
        key="tenant_id",
        value="signal v1 (internal): a tenant's links, content and behaviour since its last one",
        written_by="workers of the tenant stage",
        read_by="the worker of the campaign stage",
        partitions=1,
        config={"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
    ),
    TopicSpec(
        TopicName.CAMPAIGN_STATE,
        key="part of the campaign stage's state",
        value="encoded state, the table's changelog",
        written_by="the worker of the campaign stage",
        read_by="its next one",
        partitions=1,
        config={"cleanup.policy": "compact"},
    ),
    TopicSpec(
        TopicName.CAMPAIGN_JOURNAL,
        key="none",
        value="where among the signals an operator record took effect",
        written_by="the worker of the campaign stage",
        read_by="its next one",
        partitions=1,
        config={"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
    ),
    TopicSpec(
        TopicName.CAMPAIGNS,
        key="campaign id, or campaign id/tenant_id of a member",
        value="campaign v1 or one of its members, or nothing (no longer a member)",
        written_by="the worker of the campaign stage",
        read_by="stillwatch campaigns, console",
        partitions=1,
        config={"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "delete.retention.ms": str(DAY_MS)},
    ),
    TopicSpec(
        TopicName.CAMPAIGN_LOG,
        key="as campaigns",
        value="every change of a campaign ever made",
        written_by="the worker of the campaign stage",
        read_by="stillwatch campaigns, console",
        partitions=1,
        config={"cleanup.policy": "delete", "retention.ms": str(400 * DAY_MS)},
    ),
    TopicSpec(
        TopicName.VERDICTS,
        key="tenant_id",
        value="a campaign's verdict on one tenant (internal)",
        written_by="the worker of the campaign stage",
        read_by="every worker of the tenant stage, without a group",
        partitions=1,
        # each is told again within the hour; workers hold the topic whole
        config={"cleanup.policy": "delete", "retention.ms": str(DAY_MS)},
    ),
)


def topic(prefix: str, name: TopicName) -> str:
    """Full topic name, such as ``stillwatch.requests.v1``."""
    return f"{prefix}.{name}"


def stage_group(group: str, stage: Stage) -> str:
    """Consumer group of one stage of a deployment."""
    return group if stage is Stage.TENANTS else f"{group}-{stage}"
