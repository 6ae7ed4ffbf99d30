"""State of one partition and of one tenant, and their bytes in the changelog."""

from struct import Struct as Layout
from typing import Any, TypeVar

import msgspec
from datasketches import hll_sketch
from msgspec import Struct, field

from stream_app.detection.decisions import Action
from stream_app.detection.growths import Growth, Population
from stream_app.detection.harm import Harm
from stream_app.detection.hours import Hours
from stream_app.detection.ladder import Standing
from stream_app.detection.light_shapes import LightShapes
from stream_app.detection.newcomers import Newcomers
from stream_app.detection.rhythms import Rhythm
from stream_app.detection.scorers import Baseline
from stream_app.detection.series import Series
from stream_app.detection.services import Services
from stream_app.detection.signals import Gathering
from stream_app.detection.watermark import Watermark
from stream_app.detection.windows import Windows

#: First byte of every encoded state. It stands for this layout, the features' order, scorer version 3 and River 0.26.1;
#: a state with another first byte is refused, never guessed at.
STATE_VERSION = 7
#: What stands before a tenant's msgpack, to be read without decoding the rest: version, the minute it is due, and the
#: last minute that was closed.
_TENANT_HEAD = Layout(">BII")
#: Up to here a sketch's compact form lists its members; above, that form changes when it is read and written again.
_LARGEST_LIST_BYTES = 36
#: Key of the partition's own state in the mapping; no tenant id holds a NUL.
PARTITION_KEY = "\0partition"


class StateError(Exception):
    """The state is another version's or damaged: start that version, or reset the changelog; nothing is guessed."""


class Override(Struct, array_like=True, gc=False):
    """An operator's word: it mutes the scores until ``expires_ms``, and its key is dropped at ``forget_ms``."""

    record_id: str
    action: Action
    expires_ms: int
    forget_ms: int
    decision_id: str


class Watch(Struct, array_like=True, gc=False):
    """An operator's word to judge a subject strictly, until ``expires_ms``."""

    reason: str
    expires_ms: int


class SoftStart(Struct, array_like=True, gc=False):
    """What a person has released, by feature place: no more than that counts against the subject until ``until_ms``.

    Without any, it was a campaign's verdict, which is no news until then.
    """

    until_ms: int
    floors: dict[int, float]


class TenantState(Struct, array_like=True, gc=False):
    """Everything remembered of one tenant; like all its parts a tree, in which there are no cycles to look for.

    ``last_offset`` is the source offset of the newest record with an event of the tenant.
    ``baselines`` has one entry per feature, ``None`` until something was learned; ``models`` is the usual model mix
    (decayed counts). ``revision`` is the highest revision given to any of the tenant's decisions. ``overrides``,
    ``watches`` and ``soft_starts`` are by control topic key. ``accounts`` says where
    accounts of the tenant stand, a few at most. ``pending`` are values of shapes (by feature place) that ask for a
    denial, which waits for the tenant's next request. ``gathering`` is what
    the campaign stage has yet to be told. ``series`` are the prompts of accounts that were refused or scored high.
    ``rhythm`` is there once enough has been seen of the tenant. ``light`` gathers how it asks while ten minutes hold
    too few requests to say. ``last_account`` (CRC-32) is that of the last request of a closed minute, ``shared_minute``
    the last minute in which it was another than before.
    """

    last_offset: int = -1
    windows: Windows = field(default_factory=Windows)
    baselines: list[Baseline | None] = field(default_factory=list)
    models: dict[str, float] = field(default_factory=dict)
    revision: int = 0
    standing: Standing | None = None
    overrides: dict[str, Override] = field(default_factory=dict)
    plan: str = ""
    active_hour: int = 0
    watches: dict[str, Watch] = field(default_factory=dict)
    soft_starts: dict[str, SoftStart] = field(default_factory=dict)
    pending: list[tuple[int, float]] = field(default_factory=list)
    accounts: dict[str, Standing] = field(default_factory=dict)
    gathering: Gathering | None = None
    growth: Growth | None = None
    series: Series | None = None
    rhythm: Rhythm | None = None
    light: LightShapes | None = None
    last_account: int = 0
    shared_minute: int = 0
    hours: Hours | None = None


class PartitionState(Struct, array_like=True):
    """What belongs to the partition: clock, next source offset, newest instruction of each log, the last hour.

    ``journal_position`` is the next offset of its journal, in which instructions find their place among the events.
    """

    watermark: Watermark = field(default_factory=Watermark)
    position: int = 0
    told: dict[str, int] = field(default_factory=dict)
    journal_position: int = 0
    harm: Harm = field(default_factory=Harm)
    services: Services = field(default_factory=Services)
    population: Population = field(default_factory=Population)
    newcomers: Newcomers = field(default_factory=Newcomers)

    def seal(self, day: int) -> None:
        """All that counts for days up to ``day`` has been gathered."""
        self.population.seal(day)
        self.newcomers.seal(day)


def _sketch_bytes(sketch: hll_sketch) -> bytes:
    compact: bytes = sketch.serialize_compact()
    return compact if len(compact) <= _LARGEST_LIST_BYTES else sketch.serialize_updatable()


def _to_plain(value: Any) -> Any:
    if isinstance(value, hll_sketch):
        return _sketch_bytes(value)
    raise NotImplementedError(type(value))


def _from_plain(_: type, plain: Any) -> Any:
    return hll_sketch.deserialize(plain)


State = TypeVar("State")

_encoder = msgspec.msgpack.Encoder(enc_hook=_to_plain)
_tenant = msgspec.msgpack.Decoder(TenantState, dec_hook=_from_plain)
_partition = msgspec.msgpack.Decoder(PartitionState)


def encode_partition(state: PartitionState) -> bytes:
    """Bytes of a partition's own state."""
    return bytes((STATE_VERSION,)) + _encoder.encode(state)


def encode_tenant(state: TenantState, due: int) -> bytes:
    """Bytes of a tenant's state, with the minute it is due in front; the same state gives the same bytes."""
    return _TENANT_HEAD.pack(STATE_VERSION, due, state.windows.closed_minute) + _encoder.encode(state)


def due_minute(encoded: bytes) -> int:
    """When a tenant is due, without decoding the rest; raises ``StateError``."""
    if len(encoded) <= _TENANT_HEAD.size or encoded[0] != STATE_VERSION:
        raise _wrong_version(encoded)
    due: int = _TENANT_HEAD.unpack_from(encoded)[1]
    return due


def closed_minute(encoded: bytes) -> int:
    """The last minute of a tenant that was closed, without decoding the rest."""
    closed: int = _TENANT_HEAD.unpack_from(encoded)[2]
    return closed


def decode_tenant(encoded: bytes) -> TenantState:
    """Inverse of ``encode_tenant``; raises ``StateError`` for another version's bytes, and for no state at all."""
    due_minute(encoded)
    return _decode(_tenant, memoryview(encoded)[_TENANT_HEAD.size :])


def decode_partition(encoded: bytes) -> PartitionState:
    """Inverse of ``encode_partition``; raises ``StateError`` for another version's bytes, and for no state at all."""
    if not encoded or encoded[0] != STATE_VERSION:
        raise _wrong_version(encoded)
    return _decode(_partition, memoryview(encoded)[1:])


def check_state(key: str, encoded: bytes) -> None:
    """Raise ``StateError`` for what this program did not write as the state of a tenant or partition."""
    if key == PARTITION_KEY:
        decode_partition(encoded)
    else:
        due_minute(encoded)


def _decode(decoder: msgspec.msgpack.Decoder[State], body: memoryview) -> State:
    try:
        return decoder.decode(body)
    except Exception as error:  # whatever a sketch or a baseline makes of bytes that are none
        raise StateError(f"unreadable state of {len(body)} bytes: {error}") from error


def _wrong_version(encoded: bytes) -> "StateError":
    found = encoded[0] if encoded else "nothing"
    whose = ": a newer program wrote it, start that one" if encoded and encoded[0] > STATE_VERSION else ""
    return StateError(f"state version {found}, this program reads version {STATE_VERSION}{whose}")
