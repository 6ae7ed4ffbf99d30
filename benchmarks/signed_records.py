"""What signed decisions cost: a signature at the worker, and a limiter's reading of its whole table.

Run ``python -m benchmarks.signed_records``; one core, no broker. Records are as large as a detector's.
"""

import argparse
import time
from collections.abc import Callable

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream_app.limiter import DecisionsTable
from stream_app.signatures import Signer
from stream_app.signed_records import ControlRecord, signature_headers, signed_ms

RECORDS = 20_000
#: Of a decision with its evidence on the wire.
VALUE_BYTES = 1_200
NOW_MS = 1_767_225_600_000


def record(number: int) -> ControlRecord:
    """A block of one tenant."""
    fields = {
        "decision_id": f"d-{number}",
        "scope": "tenant",
        "subject": f"t{number}",
        "action": "block",
        "simulated": False,
        "origin": "detector",
        "reasons": [{"code": "requests_surge"}],
        "expires_at": "2026-01-01T01:00:00Z",
        "revision": 1,
    }
    value = orjson.dumps(fields | {"evidence": "x" * (VALUE_BYTES - len(orjson.dumps(fields)))})
    return ControlRecord(f"tenant:t{number}".encode(), value)


def us_each(work: Callable[[], None]) -> float:
    """CPU time of the process, in microseconds a record."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / RECORDS * 1e6


def main() -> None:
    """Print a line for each."""
    argparse.ArgumentParser(prog="python -m benchmarks.signed_records", description=__doc__).parse_args()
    signer = Signer(Ed25519PrivateKey.generate())
    verifier, records = signer.verifier(), [record(number) for number in range(RECORDS)]
    headers: list[list[tuple[str, bytes]]] = []

    def sign() -> None:
        headers.extend(signature_headers(one, signer, NOW_MS) for one in records)

    def read() -> None:
        table = DecisionsTable()
        for one in records:
            assert table.apply(one.key, one.value, NOW_MS) is None

    def read_signed() -> None:
        table = DecisionsTable()
        for one, given in zip(records, headers, strict=True):
            assert table.apply(one.key, one.value, NOW_MS, signed_ms(one, given, verifier)) is None

    signing, plain, signed = us_each(sign), us_each(read), us_each(read_signed)
    print(f"signing at the worker: {signing:.0f} us a record")
    print(f"reading at the limiter: {plain:.0f} us a record, {signed:.0f} us with its signature verified")
    print(f"a table of 100,000: {plain / 10:.1f} s of CPU, {signed / 10:.1f} s with signatures")


if __name__ == "__main__":
    main()
