"""State of one partition and of one tenant, and their bytes in the changelog."""

from collections.abc import Callable
from typing import Any

import msgspec
from datasketches import hll_sketch
from msgspec import Struct, field

from stream_app.detection.decisions import Action
from stream_app.detection.ladder import Standing
from stream_app.detection.scorers import Baseline
from stream_app.detection.watermark import Watermark
from stream_app.detection.windows import Windows

#: First byte of every encoded state. It stands for this layout, the features' order, scorer version 1 and River 0.26.1;
#: a state with another first byte is refused, never guessed at.
STATE_VERSION = 1
#: Up to here a sketch's compact form lists its members; above, that form changes when it is read and written again.
_LARGEST_LIST_BYTES = 36
#: Key of the partition's own state in the mapping; no tenant id holds a NUL.
PARTITION_KEY = "\0partition"


class StateVersionError(Exception):
    """The state was written by another version of Stillwatch: start that version, or reset the table."""


class Override(Struct, array_like=True):
    """An operator's word: it mutes the scores until ``expires_ms``, and its key is dropped at ``forget_ms``."""

    record_id: str
    action: Action
    expires_ms: int
    forget_ms: int
    decision_id: str


class TenantState(Struct, array_like=True):
    """Everything remembered of one tenant.

    ``applied`` is the source offset of the last whole record applied: records at or below it are skipped.
    ``baselines`` has one entry per feature, ``None`` until something was learned; ``models`` is the usual model mix
    (decayed counts). ``revision`` is the highest revision given to any of the tenant's decisions, ``instructed`` the
    offset of the last operator record on the tenant.
    """

    applied: int = -1
    windows: Windows = field(default_factory=Windows)
    baselines: list[Baseline | None] = field(default_factory=list)
    models: dict[str, float] = field(default_factory=dict)
    revision: int = 0
    instructed: int = -1
    standing: Standing | None = None
    overrides: dict[str, Override] = field(default_factory=dict)


class PartitionState(Struct, array_like=True):
    """What belongs to the partition: its clock, its next source offset and the last operator record it has taken in."""

    watermark: Watermark = field(default_factory=Watermark)
    position: int = 0
    operator_offset: int = -1


def _sketch_bytes(sketch: hll_sketch) -> bytes:
    compact: bytes = sketch.serialize_compact()
    return compact if len(compact) <= _LARGEST_LIST_BYTES else sketch.serialize_updatable()


def _to_plain(value: Any) -> Any:
    if isinstance(value, Baseline):
        return value.to_tuple()
    if isinstance(value, hll_sketch):
        return _sketch_bytes(value)
    raise NotImplementedError(type(value))


_READERS: dict[type, Callable[[Any], Any]] = {
    Baseline: lambda plain: Baseline(*plain),
    hll_sketch: hll_sketch.deserialize,
}


def _from_plain(kind: type, plain: Any) -> Any:
    return _READERS[kind](plain)


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_plain)
_tenant = msgspec.msgpack.Decoder(TenantState, dec_hook=_from_plain)
_partition = msgspec.msgpack.Decoder(PartitionState)


def encode_state(state: TenantState | PartitionState) -> bytes:
    """Bytes of a state; the same state gives the same bytes."""
    return bytes((STATE_VERSION,)) + _encoder.encode(state)


def decode_tenant(encoded: bytes) -> TenantState:
    """Inverse of ``encode_state``; raises ``StateVersionError`` for another version's bytes."""
    return _tenant.decode(_body(encoded))


def decode_partition(encoded: bytes) -> PartitionState:
    """Inverse of ``encode_state``; raises ``StateVersionError`` for another version's bytes."""
    return _partition.decode(_body(encoded))


def _body(encoded: bytes) -> memoryview:
    if not encoded or encoded[0] != STATE_VERSION:
        found = encoded[0] if encoded else "nothing"
        raise StateVersionError(f"state version {found}, this program reads version {STATE_VERSION}")
    return memoryview(encoded)[1:]
