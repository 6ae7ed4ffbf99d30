"""The file of weights behind the scores: plain numbers under a digest, read without executing anything.

A msgpack array of the format's name, its version, the BLAKE2b-256 digest of the body and the body. The body is a
msgpack map: ``trained_on`` (names of the sources), and per score an intercept and ``SIZE`` little-endian half-precision
numbers in the order of ``prompt_features``.
"""

from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stream_app.sketches.prompt_features import SIZE

FORMAT = "stillwatch-prompt-weights"

#: Stands for the features, their hash, the cues and their order: another version's weights mean nothing here.
VERSION = 1

#: The scores, by their names in an event.
SCORE_NAMES = ("jailbreak", "cot_elicitation")

#: Over twice what two scores need; a wrong path is not read to its end.
MAX_FILE_BYTES = 1 << 20

#: The weights that come with the program.
SHIPPED = Path(__file__).with_name("prompt-weights.msgpack")


class WeightsError(Exception):
    """A file of weights cannot be used; the message is one line and names the file."""


class Linear(Struct, frozen=True):
    """One score's model: log-odds are ``intercept`` plus the weights of the features, times their values."""

    intercept: float
    weights: bytes

    def array(self) -> NDArray[np.float64]:
        """The weights as numbers."""
        return np.frombuffer(self.weights, dtype="<f2").astype(np.float64)


class Weights(Struct, frozen=True):
    """All models, and the names of what they were trained on."""

    trained_on: list[str]
    scores: dict[str, Linear]


class _File(Struct, array_like=True, frozen=True):
    format: str
    version: int
    digest: bytes
    body: bytes


_file = msgspec.msgpack.Decoder(_File)
_weights = msgspec.msgpack.Decoder(Weights)


def read_weights(path: Path) -> Weights:
    """Read a file; raises ``WeightsError`` when it is absent, damaged, of another version or not complete."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"weights {path}: {error.strerror}") from error
    try:
        found = _file.decode(content)
    except msgspec.MsgspecError as error:
        raise WeightsError(f"weights {path}: not a file of weights") from error
    if (found.format, found.version) != (FORMAT, VERSION):
        raise WeightsError(f"weights {path}: version {found.version}, this program reads {FORMAT} {VERSION}")
    if blake2b(found.body, digest_size=32).digest() != found.digest:
        raise WeightsError(f"weights {path}: damaged, its digest differs")
    return _checked(found.body, path)


def _checked(body: bytes, path: Path) -> Weights:
    try:
        weights = _weights.decode(body)
    except msgspec.MsgspecError as error:
        raise WeightsError(f"weights {path}: {error}") from error
    for name in SCORE_NAMES:
        model = weights.scores.get(name)
        if model is None or len(model.weights) != 2 * SIZE or not np.isfinite(model.array()).all():
            raise WeightsError(f"weights {path}: no {SIZE} finite weights for {name}")
    return weights


def write_weights(path: Path, weights: Weights) -> None:
    """Write a file that ``read_weights`` reads; the same weights give the same bytes."""
    body = msgspec.msgpack.encode(weights, order="sorted")
    digest = blake2b(body, digest_size=32).digest()
    path.write_bytes(msgspec.msgpack.encode(_File(FORMAT, VERSION, digest, body)))
