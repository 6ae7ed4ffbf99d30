"""Settings from ``STILLWATCH_*``, read once at start; everything wrong is told at once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stream_app.topology import STAGES, Stage, StageTopics, TopicName, stage_group, topic

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,100}$")]


class SecurityProtocol(StrEnum):
    """How the broker is talked to, in Kafka's words; no password goes over a connection that others can read."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    """Ways to prove a password without sending it."""

    SCRAM_SHA_512 = "SCRAM-SHA-512"
    SCRAM_SHA_256 = "SCRAM-SHA-256"


class LogForm(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least of what is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class SettingsError(Exception):
    """The environment holds values that cannot be used; the message has one line per value."""


class Settings(BaseSettings):
    """What a deployment may change. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="STILLWATCH_", frozen=True, extra="ignore")

    broker: Annotated[str, Field(description="Kafka bootstrap servers, host:port separated by commas")] = (
        "127.0.0.1:9092"
    )
    security_protocol: Annotated[SecurityProtocol, Field(description="How the broker is talked to")] = (
        SecurityProtocol.PLAINTEXT
    )
    sasl_mechanism: Annotated[SaslMechanism, Field(description="How the password is proved")] = (
        SaslMechanism.SCRAM_SHA_512
    )
    sasl_username: Annotated[str | None, Field(min_length=1, description="Our user on the broker")] = None
    sasl_password_file: Annotated[Path | None, Field(description="File that holds its password")] = None
    tls_ca_file: Annotated[Path | None, Field(description="Certificates that the broker's must come from")] = None
    tls_certificate_file: Annotated[Path | None, Field(description="Our own certificate, and what it comes from")] = (
        None
    )
    tls_key_file: Annotated[Path | None, Field(description="Key of our certificate, without a passphrase")] = None
    topic_prefix: Annotated[Name, Field(description="First part of every topic name")] = "stillwatch"
    group: Annotated[Name, Field(description="Consumer group and application id")] = "stillwatch"
    stage: Annotated[Stage, Field(description="What a worker judges: tenants, or campaigns")] = Stage.TENANTS
    partitions: Annotated[int, Field(ge=1, le=10_000, description="Partitions of the requests topic")] = 8
    replication_factor: Annotated[int, Field(ge=1, le=15, description="Replicas of topics that are created")] = 1
    policy: Annotated[Path | None, Field(description="Policy file; holds until the operator topic has a policy")] = None
    exchange_key_file: Annotated[Path | None, Field(description="Key shared with partners, for indicators")] = None
    signing_key: Annotated[Path | None, Field(description="Private key that signs what we decide or order")] = None
    operator_keys: Annotated[
        str | None, Field(description="Public keys of which one must have signed an operator record")
    ] = None
    operator_signed_from: Annotated[int, Field(ge=0, description="Offset from which operator records are signed")] = 0
    web_bind: Annotated[str, Field(description="Address of /metrics, /health and /ready")] = "127.0.0.1"
    web_port: Annotated[int, Field(ge=0, le=65_535, description="Port of the same; 0 picks a free one")] = 6066
    web_token_file: Annotated[Path | None, Field(description="File with the tokens that web clients must show")] = None
    web_tls_certificate_file: Annotated[Path | None, Field(description="Certificate of our web servers")] = None
    web_tls_key_file: Annotated[Path | None, Field(description="Its key, without a passphrase")] = None
    web_client_ca_file: Annotated[Path | None, Field(description="What web clients' certificates must come from")] = (
        None
    )
    web_requests_per_s: Annotated[
        int | None, Field(ge=1, description="Web requests a second that one address may make")
    ] = None
    log_form: Annotated[LogForm, Field(description="How log lines look")] = LogForm.AUTO
    log_level: Annotated[LogLevel, Field(description="The least of our own lines that is logged")] = LogLevel.INFO
    data_dir: Annotated[Path, Field(description="Folder for the stream framework's own files")] = Path(".stillwatch")
    standbys: Annotated[int, Field(ge=0, le=5, description="Other workers that keep a copy of each partition")] = 0
    alertmanager_url: Annotated[
        str | None, Field(description="Where campaigns are posted as alerts; off when empty")
    ] = None
    console_tokens_file: Annotated[Path | None, Field(description="Who may sign in to the console by a token")] = None
    console_trusted_proxies: Annotated[
        str | None, Field(description="Networks whose X-Forwarded-User the console believes")
    ] = None
    console_group_prefix: Annotated[str, Field(description="What precedes a role in the groups that they name")] = (
        "stillwatch-"
    )
    console_workers: Annotated[
        str | None, Field(description="Addresses of workers whose readiness the console shows")
    ] = None
    console_url: Annotated[str | None, Field(description="Where people reach the console; alerts lead there")] = None
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

    @field_validator("alertmanager_url", "console_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("not an address that begins with http:// or https://")
        return value or None

    @model_validator(mode="after")
    def _security_is_whole(self) -> Self:
        is_sasl = self.security_protocol is SecurityProtocol.SASL_SSL
        login = {"SASL_USERNAME": self.sasl_username, "SASL_PASSWORD_FILE": self.sasl_password_file}
        own = {"TLS_CERTIFICATE_FILE": self.tls_certificate_file, "TLS_KEY_FILE": self.tls_key_file}
        for name, value in login.items():
            if is_sasl and value is None:
                raise ValueError(f"STILLWATCH_{name} is needed with security protocol SASL_SSL")
            if value is not None and not is_sasl:
                raise ValueError(f"STILLWATCH_{name} is not used with security protocol {self.security_protocol}")
        for name, value in (own | {"TLS_CA_FILE": self.tls_ca_file}).items():
            if value is not None and self.security_protocol is SecurityProtocol.PLAINTEXT:
                raise ValueError(f"STILLWATCH_{name} is not used with security protocol PLAINTEXT")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("STILLWATCH_TLS_CERTIFICATE_FILE and STILLWATCH_TLS_KEY_FILE belong together")
        return self

    @model_validator(mode="after")
    def _web_security_is_whole(self) -> Self:
        certificate = self.web_tls_certificate_file
        if (certificate is None) != (self.web_tls_key_file is None):
            raise ValueError("STILLWATCH_WEB_TLS_CERTIFICATE_FILE and STILLWATCH_WEB_TLS_KEY_FILE belong together")
        if self.web_client_ca_file is not None and certificate is None:
            raise ValueError("STILLWATCH_WEB_CLIENT_CA_FILE needs STILLWATCH_WEB_TLS_CERTIFICATE_FILE")
        return self

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
        return stage_group(self.group, self.stage)

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
            if wrong["loc"]
            else str(wrong["ctx"]["error"])
            for wrong in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from error
