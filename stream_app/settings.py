"""Settings from ``STILLWATCH_*``, read once at start; everything wrong is told at once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stream_app.topology import STAGES, Stage, StageTopics, TopicName, topic

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,100}$")]


class SettingsError(Exception):
    """The environment holds values that cannot be used; the message has one line per value."""


class Settings(BaseSettings):
    """What a deployment may change. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="STILLWATCH_", frozen=True, extra="ignore")

    broker: Annotated[str, Field(description="Kafka bootstrap servers, host:port separated by commas")] = (
        "127.0.0.1:9092"
    )
    topic_prefix: Annotated[Name, Field(description="First part of every topic name")] = "stillwatch"
    group: Annotated[Name, Field(description="Consumer group and application id")] = "stillwatch"
    stage: Annotated[Stage, Field(description="What a worker judges: tenants, or campaigns")] = Stage.TENANTS
    partitions: Annotated[int, Field(ge=1, le=10_000, description="Partitions of the requests topic")] = 8
    replication_factor: Annotated[int, Field(ge=1, le=15, description="Replicas of topics that are created")] = 1
    policy: Annotated[Path | None, Field(description="Policy file; holds until the operator topic has a policy")] = None
    web_bind: Annotated[str, Field(description="Address of /metrics, /health and /ready")] = "127.0.0.1"
    web_port: Annotated[int, Field(ge=0, le=65_535, description="Port of the same; 0 picks a free one")] = 6066
    data_dir: Annotated[Path, Field(description="Folder for the stream framework's own files")] = Path(".stillwatch")
    standbys: Annotated[int, Field(ge=0, le=5, description="Other workers that keep a copy of each partition")] = 0
    alertmanager_url: Annotated[
        str | None, Field(description="Where campaigns are posted as alerts; off when empty")
    ] = None
    historic: Annotated[bool, Field(description="Events are old: let decisions live from now, not from then")] = False
    embedded: Annotated[bool, Field(description="The broker is the embedded one, which declares no topics")] = False

    @field_validator("broker")
    @classmethod
    def _has_host_and_port(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65_536:
                raise ValueError(f"{server.strip()!r} is not host:port")
        return value

    @field_validator("alertmanager_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("not an address that begins with http:// or https://")
        return value or None

    @property
    def stage_topics(self) -> StageTopics:
        """The topics that belong to this worker's stage alone."""
        return STAGES[self.stage]

    @property
    def stage_partitions(self) -> int:
        """Partitions of this worker's stage; campaigns span tenants, and have one."""
        return self.partitions if self.stage is Stage.TENANTS else 1

    @property
    def stage_group(self) -> str:
        """Consumer group of this worker's stage."""
        return self.group if self.stage is Stage.TENANTS else f"{self.group}-{self.stage}"

    def topic(self, name: TopicName) -> str:
        """Full name of one of our topics."""
        return topic(self.topic_prefix, name)


def load_settings() -> Settings:
    """Read the environment; raises ``SettingsError`` with one line per wrong value."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"STILLWATCH_{'_'.join(map(str, wrong['loc'])).upper()}: {wrong['msg']} (got {wrong['input']!r})"
            for wrong in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from error
