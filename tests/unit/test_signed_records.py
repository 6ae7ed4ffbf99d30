"""Signed records of the control topic: what a worker makes, a limiter accepts; nothing else."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from stream_app.adapters.records import OutgoingRecord
from stream_app.app import effect_records
from stream_app.detection.effects import ForgetDecision
from stream_app.settings import Settings
from stream_app.signatures import KeyFileError, Purpose, SignatureRefusedError, Signer, load_verifier, make_keys
from stream_app.signed_records import (
    SIGNATURE,
    SIGNED_AT,
    ControlRecord,
    OperatorSignatures,
    signature_headers,
    signed_ms,
)
from stream_app.topology import TopicName

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
RECORDS = st.builds(ControlRecord, st.binary(max_size=40), st.none() | st.binary(max_size=40))


@given(RECORDS, st.integers(0, 2**45))
def test_what_was_signed_is_accepted_with_its_time(record: ControlRecord, now_ms: int) -> None:
    assert signed_ms(record, signature_headers(record, SIGNER, now_ms), SIGNER.verifier()) == now_ms


@given(RECORDS, RECORDS, st.integers(0, 9), st.integers(0, 9))
def test_anything_else_is_refused(record: ControlRecord, other: ControlRecord, now_ms: int, at_ms: int) -> None:
    given = dict(signature_headers(record, SIGNER, now_ms)) | {SIGNED_AT: str(at_ms).encode()}
    if (record, now_ms) == (other, at_ms):
        return
    with pytest.raises(SignatureRefusedError, match="not what key"):
        signed_ms(other, list(given.items()), SIGNER.verifier())


def test_a_key_does_not_run_into_its_value() -> None:
    headers = signature_headers(ControlRecord(b"tenant:a", b"b"), SIGNER, 1)
    with pytest.raises(SignatureRefusedError):
        signed_ms(ControlRecord(b"tenant:ab", b""), headers, SIGNER.verifier())


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([], "not signed"),
        ([("stillwatch-signature", b"a:b")], "no time"),
        ([(SIGNED_AT, b"9" * 30), (SIGNATURE, b"a:b")], "no time"),
        ([(SIGNED_AT, b"1"), (SIGNATURE, b"\xff\xfe")], "is not key_id:base64"),
    ],
)
def test_what_is_no_signature_is_told(headers: list[tuple[str, bytes]], problem: str) -> None:
    with pytest.raises(SignatureRefusedError, match=problem):
        signed_ms(ControlRecord(b"tenant:a", None), headers, SIGNER.verifier())


def test_a_worker_with_a_key_signs_its_tombstones(tmp_path: Path) -> None:
    public, _ = make_keys(tmp_path / "key")
    [record] = effect_records(Settings(signing_key=tmp_path / "key"))(ForgetDecision("tenant:acme"), 7)
    assert record[:3] == (TopicName.DECISIONS, b"tenant:acme", None)
    assert signed_ms(ControlRecord(b"tenant:acme", None), record.headers, load_verifier(public)) == 7
    [unsigned] = effect_records(Settings())(ForgetDecision("tenant:acme"), 7)
    assert unsigned == OutgoingRecord(TopicName.DECISIONS, b"tenant:acme", None, [])
    with pytest.raises(KeyFileError, match="No such file"):
        effect_records(Settings(signing_key=tmp_path / "absent"))


OFF = ControlRecord(b"enforcement", b'{"id": "1"}')
TRUE = signature_headers(OFF, SIGNER, 7, Purpose.OPERATOR)


@pytest.mark.parametrize(
    ("record", "headers", "problem"),
    [
        (OFF, [], "not signed"),
        (OFF._replace(value=b'{"id": "2"}'), TRUE, "not what key"),
        (OFF._replace(key=b"release"), TRUE, "not what key"),
        (OFF, [(SIGNED_AT, b"8"), TRUE[1]], "not what key"),
        (OFF, signature_headers(OFF, Signer(Ed25519PrivateKey.generate()), 7, Purpose.OPERATOR), "not trusted"),
        # a worker's key that some deployment also trusts for orders: its decisions are no orders
        (OFF, signature_headers(OFF, SIGNER, 7, Purpose.DECISION), "not what key"),
    ],
)
def test_an_order_that_no_trusted_key_signed_does_not_count(
    record: ControlRecord, headers: list[tuple[str, bytes]], problem: str
) -> None:
    assert problem in (OperatorSignatures(SIGNER.verifier()).refusal(3, record, headers) or "")


def test_a_true_order_counts_once_wherever_it_is_sent_again() -> None:
    signatures = OperatorSignatures(SIGNER.verifier())
    again = signature_headers(OFF, SIGNER, 8, Purpose.OPERATOR)
    assert signatures.refusal(3, OFF, TRUE) is None
    assert signatures.refusal(4, OFF, TRUE) == "sent again: it is the record at offset 3"
    assert signatures.refusal(3, OFF, TRUE) is None  # read a second time, after a lost connection
    assert signatures.refusal(5, OFF, again) is None  # a person, who ordered it anew


def test_orders_from_before_signing_began_count() -> None:
    signatures = OperatorSignatures(SIGNER.verifier(), first=3)
    assert [signatures.refusal(offset, OFF, []) for offset in (2, 3)] == [None, "not signed"]
