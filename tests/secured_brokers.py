"""A real broker that lets nobody in without a password or a certificate, and nobody do what is not granted."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from stream_app.grants import Grant, Operation, Resource
from stream_app.settings import Settings
from tests import brokers

#: Listeners: a password over TLS; a certificate of the client over TLS; and one whose own certificate has expired.
LISTENERS = {"USERS": "SASL_SSL", "CERTIFICATES": "SSL", "EXPIRED": "SASL_SSL"}
#: Whoever comes by the plain listener or the controller's is nobody in particular, and may do everything: the tests.
_PROPERTIES = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.truststore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.location={folder}/ca.pem
ssl.principal.mapping.rules=RULE:^CN=(.*?),.*$/$1/,RULE:^CN=(.*?)$/$1/
listener.name.certificates.ssl.client.auth=required
listener.name.expired.ssl.keystore.location={folder}/expired.pem
listener.name.users.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.expired.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
_RESOURCES = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
    Resource.CLUSTER: ResourceType.BROKER,
}
_OPERATIONS = {
    Operation.READ: AclOperation.READ,
    Operation.WRITE: AclOperation.WRITE,
    Operation.CREATE: AclOperation.CREATE,
    Operation.DESCRIBE: AclOperation.DESCRIBE,
    Operation.DESCRIBE_CONFIGS: AclOperation.DESCRIBE_CONFIGS,
}
_ITERATIONS = 4_096  # the least that Kafka takes


class SecuredKafka(NamedTuple):
    """A running broker, its users' passwords, and the folder with the files that its clients need."""

    kafka: brokers.RunningKafka
    folder: Path
    passwords: dict[str, str]
    authority: trustme.CA

    def add_user(self, name: str, granted: Iterable[Grant]) -> None:
        """Give a user a password, which is also in a file of its name, and what it may do."""
        self.passwords[name] = secrets.token_urlsafe(24)
        (self.folder / f"{name}.password").write_text(self.passwords[name] + "\n")
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})
        wanted: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(name, scram, self.passwords[name].encode())
        ]
        made = [*admin.alter_user_scram_credentials(wanted).values()]
        made += admin.create_acls([_binding(name, grant, op) for grant in granted for op in grant.operations]).values()
        for future in made:
            future.result(20)

    def settings(self, user: str, **changes: object) -> Settings:
        """Settings of a component that logs in with its password."""
        return Settings.model_validate(
            {
                "broker": self.kafka.listeners["USERS"],
                "security_protocol": "SASL_SSL",
                "sasl_username": user,
                "sasl_password_file": self.folder / f"{user}.password",
                "tls_ca_file": self.folder / "ca.pem",
            }
            | changes
        )

    def certified(self, user: str, **changes: object) -> Settings:
        """Settings of a component that shows a certificate of its own instead."""
        own = self.authority.issue_cert(f"{user}.invalid", common_name=user)
        certificate, key = self.folder / f"{user}.crt", self.folder / f"{user}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in own.cert_chain_pems))
        key.write_bytes(own.private_key_pem.bytes())
        return Settings.model_validate(
            {
                "broker": self.kafka.listeners["CERTIFICATES"],
                "security_protocol": "SSL",
                "tls_ca_file": self.folder / "ca.pem",
                "tls_certificate_file": certificate,
                "tls_key_file": key,
            }
            | changes
        )


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """A broker as a production one is set up, with files of its own in a folder. Raises ``NoRealBrokerError``."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.write_to_path(folder / "strange-ca.pem")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for name, until in (("broker", None), ("expired", yesterday)):
        issued = authority.issue_cert("127.0.0.1", not_after=until)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        (folder / f"{name}.pem").write_bytes(_pkcs8(issued.private_key_pem.bytes()) + chain)
    with brokers.real_kafka(LISTENERS, _PROPERTIES.format(folder=folder)) as kafka:
        yield SecuredKafka(kafka, folder, {}, authority)


def environment(settings: Settings) -> Mapping[str, str]:
    """The settings as a process would be given them."""
    return {
        f"STILLWATCH_{name.upper()}": str(value)
        for name, value in settings.model_dump(mode="json", exclude_none=True).items()
    }


def _pkcs8(key: bytes) -> bytes:
    """A key in the only form that Kafka reads from a file of text."""
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return serialization.load_pem_private_key(key, None).private_bytes(serialization.Encoding.PEM, *form)


def _binding(user: str, grant: Grant, operation: Operation) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if grant.is_prefix else ResourcePatternType.LITERAL
    return AclBinding(
        _RESOURCES[grant.resource],
        grant.name,
        pattern,
        f"User:{user}",
        "*",
        _OPERATIONS[operation],
        AclPermissionType.ALLOW,
    )
