"""Settings of security, and files of passwords and certificates that cannot be used."""

from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from stream_app.adapters.credentials import CredentialsError, librdkafka_security, python_security
from stream_app.settings import Settings, SettingsError, load_settings

LOGIN = {"security_protocol": "SASL_SSL", "sasl_username": "worker"}


def with_password(folder: Path, content: bytes) -> Settings:
    path = folder / "password"
    path.write_bytes(content)
    return Settings.model_validate(LOGIN | {"sasl_password_file": path})


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"security_protocol": "SASL_SSL"}, "STILLWATCH_SASL_USERNAME is needed with security protocol SASL_SSL"),
        (LOGIN, "STILLWATCH_SASL_PASSWORD_FILE is needed with security protocol SASL_SSL"),
        ({"sasl_username": "worker"}, "STILLWATCH_SASL_USERNAME is not used with security protocol PLAINTEXT"),
        ({"tls_ca_file": "ca.pem"}, "STILLWATCH_TLS_CA_FILE is not used with security protocol PLAINTEXT"),
        (
            {"security_protocol": "SSL", "tls_key_file": "key.pem"},
            "STILLWATCH_TLS_CERTIFICATE_FILE and STILLWATCH_TLS_KEY_FILE belong together",
        ),
        ({"security_protocol": "SASL_PLAINTEXT"}, "Input should be 'PLAINTEXT', 'SSL' or 'SASL_SSL'"),
    ],
)
def test_half_a_security_is_refused(given: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(given)
    for name, value in given.items():
        monkeypatch.setenv(f"STILLWATCH_{name.upper()}", value)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert complaint in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_password_is_a_line(tmp_path: Path) -> None:
    settings = with_password(tmp_path, "pässword \r\n".encode())
    assert librdkafka_security(settings)["sasl.password"] == "pässword "
    assert python_security(settings)["sasl_plain_password"] == "pässword "  # noqa: S105


@pytest.mark.parametrize(("content", "complaint"), [(b"\n", "is empty"), (b"\xff\xfe", "is not a UTF-8 text file")])
def test_a_file_without_a_password_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(CredentialsError, match=f"^STILLWATCH_SASL_PASSWORD_FILE: .* {complaint}$"):
        python_security(with_password(tmp_path, content))


def test_a_missing_file_is_named_with_its_setting(tmp_path: Path) -> None:
    settings = with_password(tmp_path, b"x")
    (tmp_path / "password").unlink()
    with pytest.raises(CredentialsError, match=r"^STILLWATCH_SASL_PASSWORD_FILE: .*: No such file or directory$"):
        librdkafka_security(settings)
    for name in ("tls_ca_file", "tls_certificate_file"):
        given = {"security_protocol": "SSL", name: tmp_path / "none"}
        if name == "tls_certificate_file":
            given["tls_key_file"] = tmp_path / "none"
        with pytest.raises(CredentialsError, match=f"^STILLWATCH_{name.upper()}: .*: (?i:no such file)"):
            python_security(Settings.model_validate(given))


def test_files_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("nothing of the kind\n")
    with pytest.raises(CredentialsError, match=r"^STILLWATCH_TLS_CA_FILE: .* cannot be used: .+$"):
        python_security(Settings.model_validate({"security_protocol": "SSL", "tls_ca_file": text}))
    authority = trustme.CA()
    own, other = authority.issue_cert("a.invalid"), authority.issue_cert("b.invalid")
    certificate, key = tmp_path / "crt", tmp_path / "key"
    own.cert_chain_pems[0].write_to_path(certificate)
    other.private_key_pem.write_to_path(key)
    given = {"security_protocol": "SSL", "tls_certificate_file": certificate, "tls_key_file": key}
    with pytest.raises(
        CredentialsError, match=r"^STILLWATCH_TLS_CERTIFICATE_FILE: .* cannot be used: key values mismatch$"
    ):
        python_security(Settings.model_validate(given))


def test_old_versions_of_tls_are_not_spoken() -> None:
    context = python_security(Settings.model_validate({"security_protocol": "SSL"}))["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name == "TLSv1_2"


def test_without_security_clients_are_told_nothing_of_it() -> None:
    assert python_security(Settings()) == {}
    assert librdkafka_security(Settings()) == {"security.protocol": "PLAINTEXT"}
