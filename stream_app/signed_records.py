"""Signatures of records on the control topic: key and value together, in a header of the record.

A value signed for one key is not accepted under another. A tombstone has no revision, so it carries when it was signed:
an old one that is sent again is older than what its subject has had since. Whoever may write the topic can still make
compaction forget a record by writing another, unsigned one under its key.
"""

from collections.abc import Sequence
from struct import pack
from typing import NamedTuple

from stream_app.signatures import Purpose, Signature, SignatureRefusedError, Signer, Verifier

SIGNATURE = "stillwatch-signature"
SIGNED_AT = "stillwatch-signed-at"

#: As both Kafka clients of ours spell them.
Headers = Sequence[tuple[str, bytes]]


class ControlRecord(NamedTuple):
    """What of a record is signed; ``value`` None is a tombstone."""

    key: bytes
    value: bytes | None

    def content(self, signed_ms: int) -> bytes:
        """The signed bytes: time, length of the key, key, whether there is a value, and the value."""
        head = pack(">QI", signed_ms, len(self.key)) + self.key
        return head + (b"\0" if self.value is None else b"\1" + self.value)


def signature_headers(record: ControlRecord, signer: Signer, now_ms: int) -> list[tuple[str, bytes]]:
    """Headers by which a limiter knows that the record is ours; 50 µs."""
    signature = signer.sign(record.content(now_ms), Purpose.DECISION)
    return [(SIGNED_AT, str(now_ms).encode()), (SIGNATURE, str(signature).encode())]


def signed_ms(record: ControlRecord, headers: Headers, verifier: Verifier) -> int:
    """When a trusted key signed exactly this (processing time); else raises ``SignatureRefusedError``."""
    given = dict(headers)
    if SIGNATURE not in given:
        raise SignatureRefusedError("not signed")
    at = given.get(SIGNED_AT, b"")
    if not at.isdigit() or len(at) > 18:  # digits of what 64 bits hold
        raise SignatureRefusedError(f"header {SIGNED_AT} is no time in milliseconds")
    signature = Signature.parse(given[SIGNATURE].decode("utf-8", "replace"))
    verifier.verify(record.content(int(at)), signature, Purpose.DECISION)
    return int(at)
