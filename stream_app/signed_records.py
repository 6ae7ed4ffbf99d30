"""Signatures of records on the control topic and the operator topic: key and value together, in a header of the record.

A value signed for one key is not accepted under another. A tombstone has no revision, so it carries when it was signed:
an old one that is sent again is older than what its subject has had since. An operator record counts once: one that is
sent again later is refused. Whoever may write the control topic can still make compaction forget a record by writing
another, unsigned one under its key; the operator topic is not compacted.
"""

from collections.abc import Sequence
from hashlib import sha256
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


def signature_headers(
    record: ControlRecord, signer: Signer, now_ms: int, purpose: Purpose = Purpose.DECISION
) -> list[tuple[str, bytes]]:
    """Headers by which readers know that the record is ours; 50 µs."""
    signature = signer.sign(record.content(now_ms), purpose)
    return [(SIGNED_AT, str(now_ms).encode()), (SIGNATURE, str(signature).encode())]


def signed_ms(record: ControlRecord, headers: Headers, verifier: Verifier, purpose: Purpose = Purpose.DECISION) -> int:
    """When a trusted key signed exactly this (processing time); else raises ``SignatureRefusedError``."""
    given = dict(headers)
    if SIGNATURE not in given:
        raise SignatureRefusedError("not signed")
    at = given.get(SIGNED_AT, b"")
    if not at.isdigit() or len(at) > 18:  # digits of what 64 bits hold
        raise SignatureRefusedError(f"header {SIGNED_AT} is no time in milliseconds")
    signature = Signature.parse(given[SIGNATURE].decode("utf-8", "replace"))
    verifier.verify(record.content(int(at)), signature, purpose)
    return int(at)


class OperatorSignatures:
    """Which operator records count for one reader of their topic: signed by a trusted key, and for the first time.

    Records before ``first`` (an offset of the topic's one partition) were written before signing began and count
    unsigned. Holds 32 bytes a record, of which there are few.
    """

    def __init__(self, verifier: Verifier, first: int = 0) -> None:
        self._verifier = verifier
        self._first = first
        #: Offsets of what has been read, by digest: a reader that lost its broker may come to the same place twice.
        self._seen: dict[bytes, int] = {}

    def refusal(self, offset: int, record: ControlRecord, headers: Headers) -> str | None:
        """Why a record does not count, if it does not; asked in the topic's order."""
        if offset < self._first:
            return None
        try:
            at_ms = signed_ms(record, headers, self._verifier, Purpose.OPERATOR)
        except SignatureRefusedError as error:
            return str(error)
        seen = self._seen.setdefault(sha256(record.content(at_ms)).digest(), offset)
        return None if seen == offset else f"sent again: it is the record at offset {seen}"
