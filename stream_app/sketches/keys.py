"""Secrets that key the sketches: whoever lacks the secret can neither test a guessed prompt nor link two providers."""

import os
import re
import stat
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

#: Shortest secret: 256 bits, so that a key cannot be found by search. Longest: what BLAKE2b takes as a key.
MIN_SECRET_BYTES = 32
MAX_SECRET_BYTES = blake2b.MAX_KEY_SIZE

#: Longer than any valid file; a device or a wrong path is not read to its end.
MAX_FILE_BYTES = 1024

_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-fA-F]+)")


class KeyFileError(Exception):
    """A key file cannot be used; the message is one line, names the file and never the secret."""


@dataclass(frozen=True)
class Key:
    """A named secret of 32 to 64 bytes; ``key_id`` travels with every sketch, the secret never does."""

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not MIN_SECRET_BYTES <= len(self.secret) <= MAX_SECRET_BYTES:
            raise ValueError(f"a sketch secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")

    def digest(self, purpose: bytes, text: str) -> str:
        """16 hex digits; digests of different purposes (at most 16 bytes) are unrelated."""
        return blake2b(
            text.encode("utf-8", "surrogatepass"), digest_size=8, key=self.secret, person=purpose
        ).hexdigest()


def load_key(path: Path) -> Key:
    """Read a file of one line ``key_id:hex-secret`` which only its owner can read.

    Raises ``KeyFileError`` when the file is absent, open to group or others, or not such a line.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise KeyFileError(f"key file {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"key file {path}: open to others (mode {mode:04o}), run: chmod 600 {path}")
    match = _LINE.fullmatch(content.decode("ascii", "replace").strip())
    if match is None:
        raise KeyFileError(f"key file {path}: expected one line key_id:hex-secret")
    key_id, digits = match.groups()
    if len(digits) % 2 or not 2 * MIN_SECRET_BYTES <= len(digits) <= 2 * MAX_SECRET_BYTES:
        raise KeyFileError(
            f"key file {path}: the secret has {len(digits)} hex digits, needs an even number "
            f"from {2 * MIN_SECRET_BYTES} to {2 * MAX_SECRET_BYTES}"
        )
    return Key(key_id, bytes.fromhex(digits))
