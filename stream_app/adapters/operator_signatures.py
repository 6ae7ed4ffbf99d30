"""Signing operator records, and telling forged ones, as the settings say."""

import time
from pathlib import Path

from stream_app.settings import Settings
from stream_app.signatures import Purpose, load_signer, load_verifier
from stream_app.signed_records import ControlRecord, OperatorSignatures, signature_headers

#: As confluent-kafka takes them.
ProducedHeaders = list[tuple[str, str | bytes | None]]


def operator_signatures(settings: Settings) -> OperatorSignatures | None:
    """Tells which operator records count, for one reading of their topic; None where all do.

    Raises ``KeyFileError``.
    """
    paths = key_files(settings.operator_keys)
    return OperatorSignatures(load_verifier(*paths), settings.operator_signed_from) if paths else None


def key_files(text: str | None) -> list[Path]:
    """Names of files, separated by commas."""
    return [Path(path.strip()) for path in (text or "").split(",") if path.strip()]


def operator_headers(settings: Settings, key: str, value: bytes) -> ProducedHeaders:
    """Headers that sign an operator record now, none without a key to sign with. Raises ``KeyFileError``."""
    if settings.signing_key is None:
        return []
    now_ms = round(time.time() * 1000)
    record = ControlRecord(key.encode(), value)
    return [*signature_headers(record, load_signer(settings.signing_key), now_ms, Purpose.OPERATOR)]
