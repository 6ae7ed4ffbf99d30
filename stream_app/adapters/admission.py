"""Whether the broker lets us in: told in one line before work starts, because clients would try for ever."""

import socket
import ssl
import time
from typing import cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from stream_app.adapters.clients import client_config
from stream_app.adapters.credentials import CredentialsError, tls_context
from stream_app.settings import SecurityProtocol, Settings

#: A broker on a reachable network answers in milliseconds; a wrong address is told before a person gives up.
CONNECT_TIMEOUT_S = 5.0
#: With TLS 1.3 the broker looks at our certificate after its handshake is over for us; its alarm comes at once.
_ALERT_S = 0.5


class BrokerError(Exception):
    """The broker does not answer or refuses; the message says which in one line."""


class RefusedError(BrokerError):
    """The broker, or we, refuse whom we met: trying again changes nothing until somebody has changed a setting."""


def check_admission(settings: Settings) -> None:
    """Meet every bootstrap server until one takes us. Raises ``RefusedError``, and ``BrokerError`` if none answers."""
    try:
        context = tls_context(settings)
        shows_own = settings.security_protocol is SecurityProtocol.SSL or settings.tls_certificate_file is not None
        servers = [server.strip() for server in settings.broker.split(",")]
        failures = [failure for server in servers if (failure := _meet(server, context, shows_own)) is not None]
        if len(failures) == len(servers):
            raise failures[0]
        if settings.security_protocol is SecurityProtocol.SASL_SSL:
            _log_in(settings)
    except CredentialsError as error:
        raise RefusedError(str(error)) from error


def may_join(settings: Settings, group: str) -> bool:
    """Whether we may be a member of a consumer group, as far as the broker can tell now."""
    admin = AdminClient(client_config(settings))
    asked = admin.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=CONNECT_TIMEOUT_S
    )
    try:
        allowed = asked[group].result().authorized_operations
    except KafkaException as error:
        return bool(error.args[0].code() != KafkaError.GROUP_AUTHORIZATION_FAILED)
    return not allowed or "READ" in {operation.name for operation in allowed}


def _meet(server: str, context: ssl.SSLContext | None, shows_own: bool) -> BrokerError | None:
    """Why a server does not take our connection, and our own certificate if it is to be shown."""
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=host) as secured:
                    if shows_own:
                        _await_alert(secured)
    except ssl.SSLCertVerificationError as error:
        return RefusedError(f"the broker at {server} is not trusted: {error.verify_message}")
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return RefusedError(f"no TLS with the broker at {server}: {reason}")
    except OSError as error:
        reason = error.strerror or str(error)
        return BrokerError(f"no Kafka broker answers at {server} ({reason}); is STILLWATCH_BROKER right?")
    return None


def _await_alert(secured: ssl.SSLSocket) -> None:
    secured.settimeout(_ALERT_S)
    try:
        secured.recv(1)
    except TimeoutError:
        return


def _log_in(settings: Settings) -> None:
    """Let librdkafka try once: it alone tells a wrong password from a broker that is busy."""
    errors: list[KafkaError] = []
    admin = AdminClient(client_config(settings) | {"error_cb": errors.append})
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            admin.list_topics(timeout=0.2)
        except KafkaException:
            admin.poll(0)
        else:
            return
        if any(error.code() == KafkaError._AUTHENTICATION for error in errors):
            user = cast("str", settings.sasl_username)
            raise RefusedError(f"the broker at {settings.broker} refuses user {user}: wrong name or password")
