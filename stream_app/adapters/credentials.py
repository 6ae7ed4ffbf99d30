"""Who we are to the broker, and how we know that it is ours: settings and files as each client wants them.

Files are read whenever a client is made, so that a new password or certificate is used from the next start on.
"""

import ssl
from typing import Any

from stream_app.settings import SecurityProtocol, Settings


class CredentialsError(Exception):
    """A file of ours cannot be used; the message names its setting, never what is in it."""


def librdkafka_security(settings: Settings) -> dict[str, Any]:
    """Security of a librdkafka client. Raises ``CredentialsError``."""
    files = {
        "ssl.ca.location": settings.tls_ca_file,
        "ssl.certificate.location": settings.tls_certificate_file,
        "ssl.key.location": settings.tls_key_file,
    }
    found: dict[str, Any] = {"security.protocol": settings.security_protocol.value}
    found |= {name: str(path) for name, path in files.items() if path is not None}
    if settings.security_protocol is SecurityProtocol.SASL_SSL:
        found |= {
            "sasl.mechanism": settings.sasl_mechanism.value,
            "sasl.username": settings.sasl_username,
            "sasl.password": _password(settings),
        }
    return found


def python_security(settings: Settings) -> dict[str, Any]:
    """Security of a kafka-python or aiokafka client: they name it alike. Raises ``CredentialsError``."""
    context = tls_context(settings)
    if context is None:
        return {}
    found: dict[str, Any] = {"security_protocol": settings.security_protocol.value, "ssl_context": context}
    if settings.security_protocol is SecurityProtocol.SASL_SSL:
        found |= {
            "sasl_mechanism": settings.sasl_mechanism.value,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": _password(settings),
        }
    return found


def check_credentials(settings: Settings) -> None:
    """Read all files once, so that what is wrong with them is told at the start. Raises ``CredentialsError``."""
    python_security(settings)


def _password(settings: Settings) -> str:
    path = settings.sasl_password_file
    assert path is not None  # noqa: S101 - the settings say so with SASL_SSL
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise CredentialsError(f"STILLWATCH_SASL_PASSWORD_FILE: {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise CredentialsError(f"STILLWATCH_SASL_PASSWORD_FILE: {path} is not a UTF-8 text file") from None
    if not password:
        raise CredentialsError(f"STILLWATCH_SASL_PASSWORD_FILE: {path} is empty")
    return password


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS as it is spoken to the broker, if it is: host names are always checked. Raises ``CredentialsError``."""
    if settings.security_protocol is SecurityProtocol.PLAINTEXT:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
    except OSError as error:
        raise CredentialsError(_file_error("TLS_CA_FILE", settings.tls_ca_file, error)) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    if certificate is not None:
        for name, path in (("TLS_CERTIFICATE_FILE", certificate), ("TLS_KEY_FILE", key)):
            if path is not None and not path.is_file():
                raise CredentialsError(f"STILLWATCH_{name}: {path}: no such file")
        try:
            # an empty passphrase: without one OpenSSL would ask at the terminal
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:
            raise CredentialsError(_file_error("TLS_CERTIFICATE_FILE", certificate, error)) from error
    return context


def _file_error(name: str, path: object, error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no PEM").lower().replace("_", " ")
        return f"STILLWATCH_{name}: {path} cannot be used: {reason}"
    return f"STILLWATCH_{name}: {path}: {getattr(error, 'strerror', None) or error}"
