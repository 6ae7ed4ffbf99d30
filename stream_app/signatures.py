"""Ed25519 signatures: who wrote a decision, an order, a dossier or a bundle, and that nobody has changed it since.

Keys are PEM files as OpenSSL writes and reads them (PKCS 8, SubjectPublicKeyInfo). A key is named by a short hash of
its public half, so that a record can say which key signed it, and several may be trusted while one replaces another.
"""

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

#: Hex digits of SHA-256 over the public key: 64 bits, too many to make a second key of the same name by trial; and
#: a name only chooses which trusted key is tried.
KEY_ID_DIGITS = 16
#: An Ed25519 signature, RFC 8032.
SIGNATURE_BYTES = 64
#: Longer than any such PEM file; a device or a wrong path is not read to its end.
MAX_FILE_BYTES = 16_384


class KeyFileError(Exception):
    """A key file cannot be used or made; the message is one line, names the file and never the secret."""


class SignatureRefusedError(Exception):
    """A signature does not show that a trusted key signed this; the message says why."""


class Purpose(StrEnum):
    """What is signed: part of the signed bytes, so that a signature over one thing never passes for another."""

    DECISION = "decision"
    OPERATOR = "operator"
    DOSSIER = "dossier"
    INDICATORS = "indicators"


class Signature(NamedTuple):
    """The name of the key, and what it made of the content."""

    key_id: str
    value: bytes

    def __str__(self) -> str:
        """``key_id:base64``, as it stands in headers and documents."""
        return f"{self.key_id}:{b64encode(self.value).decode('ascii')}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``key_id:base64``. Raises ``SignatureRefusedError``."""
        key_id, _, value = text.partition(":")
        try:
            signature = cls(key_id, b64decode(value, validate=True))
        except ValueError:
            raise SignatureRefusedError("the signature is not key_id:base64") from None
        if not key_id or len(signature.value) != SIGNATURE_BYTES:
            raise SignatureRefusedError("the signature is not key_id:base64 of 64 bytes")
        return signature


class Signer:
    """A private key that signs, some 40 µs a kilobyte."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id_of(key.public_key())

    def sign(self, content: bytes, purpose: Purpose) -> Signature:
        """The same content and purpose always get the same signature."""
        return Signature(self.key_id, self._key.sign(_signed(content, purpose)))

    def verifier(self) -> "Verifier":
        """Trusts this key alone."""
        return Verifier([self._key.public_key()])


class Verifier:
    """Trusted public keys; a signature by any of them is accepted."""

    def __init__(self, keys: Sequence[Ed25519PublicKey]) -> None:
        self._keys: Mapping[str, Ed25519PublicKey] = {key_id_of(key): key for key in keys}

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the trusted keys."""
        return tuple(self._keys)

    def verify(self, content: bytes, signature: Signature, purpose: Purpose) -> None:
        """Return if a trusted key signed exactly this for this purpose; else raise ``SignatureRefusedError``."""
        key = self._keys.get(signature.key_id)
        if key is None:
            raise SignatureRefusedError(f"signed by key {signature.key_id[:64]}, which is not trusted here")
        try:
            key.verify(signature.value, _signed(content, purpose))
        except InvalidSignature:
            raise SignatureRefusedError(f"not what key {signature.key_id} signed") from None


def _signed(content: bytes, purpose: Purpose) -> bytes:
    return b"stillwatch %b\0%b" % (purpose.encode("ascii"), content)


def key_id_of(key: Ed25519PublicKey) -> str:
    """Short name of a public key."""
    return sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_DIGITS]


def load_signer(path: Path) -> Signer:
    """Read a private key. Raises ``KeyFileError``, also when the file is open to others than owner and group."""
    content, mode = _read(path)
    if mode & stat.S_IRWXO:
        # Not the group: a secret that an orchestrator mounts is read by way of it.
        raise KeyFileError(f"key file {path}: open to others (mode {mode:04o}), run: chmod 600 {path}")
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise KeyFileError(f"key file {path}: has a passphrase, which cannot be asked for") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"key file {path}: no private key in PEM, make one with: stillwatch keys new") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"key file {path}: not an Ed25519 key")
    return Signer(key)


def load_verifier(*paths: Path) -> Verifier:
    """Read public keys, one a file. Raises ``KeyFileError``."""
    return Verifier([load_public_key(path) for path in paths])


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read one public key. Raises ``KeyFileError``, also for the private half: it has no place at a reader's."""
    content, _ = _read(path)
    if b"PRIVATE KEY" in content:
        raise KeyFileError(f"key file {path}: holds a private key, give the public one")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"key file {path}: no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"key file {path}: not an Ed25519 key")
    return key


def make_keys(private: Path) -> tuple[Path, str]:
    """Write a new private key to ``private`` and its public half beside it as ``….pub``; returns that and the id.

    Nothing that exists is overwritten: raises ``KeyFileError``.
    """
    key = Ed25519PrivateKey.generate()
    public = private.with_name(f"{private.name}.pub")
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    try:
        _write(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), mode=0o644)
    except KeyFileError:
        private.unlink()
        raise
    return public, key_id_of(key.public_key())


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise KeyFileError(f"key file {path}: {error.strerror}") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise KeyFileError(f"key file {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
