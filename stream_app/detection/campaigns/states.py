"""The campaign stage's state as bytes, in parts, so that a checkpoint holds only those that changed."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.campaigns.stage import CampaignStage, Memory
from stream_app.detection.signals import Signal
from stream_app.detection.state import PARTITION_KEY, StateError
from stream_app.detection.watermark import Watermark

#: First byte of every part; another is refused, never guessed at.
CAMPAIGN_STATE_VERSION = 1
#: Brokers take messages of a million bytes, and the memory of large campaigns is more.
_PART_BYTES = 500_000
_TENANT, _MEMORY = "tenant/", "memory/"


class StageState(Struct, array_like=True):
    """What belongs to the stage's partition, as in ``PartitionState``.

    ``clocks`` are those of the tenant stage's partitions, told by their signals; ``ticked_ms`` is the last tick's time.
    """

    position: int = 0
    told: dict[str, int] = field(default_factory=dict)
    journal_position: int = 0
    clocks: dict[int, Watermark] = field(default_factory=dict)
    ticked_ms: int = 0

    @property
    def newest_ms(self) -> int:
        """Newest time that any of them believes, 0 before the first signal."""
        return max((clock.newest_ms or 0 for clock in self.clocks.values()), default=0)

    def clock(self, partition: int) -> Watermark:
        """The clock of one partition of the tenant stage."""
        return self.clocks.setdefault(partition, Watermark())


class TenantPart(Struct, array_like=True):
    """A tenant: its profile's row (-1: none yet) with the text of its links, and the newest signal taken.

    ``waiting`` are signals for the next tick, ``exchanged`` skeletons under the exchange key,
    ``tokens`` the output tokens it has taken.
    """

    sequence: int
    pane_end_ms: int
    row: int
    profile: bytes
    names: dict[int, str]
    waiting: list[Signal]
    told: Verdict | None
    exchanged: bytes = b""
    tokens: int = 0


class _MemoryPart(Struct, array_like=True):
    """Memory whose shares are only those of ``rows``, by campaign."""

    memory: Memory
    rows: list[bytes]


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    raise NotImplementedError(type(value))


def _from_plain(_: type, plain: Any) -> NDArray[np.float64]:
    return np.frombuffer(plain, np.float64).copy()


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_plain)
_tenant = msgspec.msgpack.Decoder(TenantPart)
_memory = msgspec.msgpack.Decoder(_MemoryPart, dec_hook=_from_plain)
_state = msgspec.msgpack.Decoder(StageState)
_HEAD = bytes((CAMPAIGN_STATE_VERSION,))


def check_part(_: str, encoded: bytes) -> None:
    """Raise ``StateError`` for another version's bytes."""
    if encoded[:1] != _HEAD:
        raise StateError(f"campaign state of version {encoded[:1]!r}, this program reads {CAMPAIGN_STATE_VERSION}")


def encode_state(state: StageState) -> bytes:
    """Bytes of the partition's own state."""
    return _HEAD + _encoder.encode(state)


def encode_tenant_part(stage: CampaignStage, tenant_id: str, seen: tuple[int, int], waiting: list[Signal]) -> bytes:
    """Bytes of a tenant; ``seen``: sequence and pane end of its newest signal; ``waiting``: for the next tick."""
    profiles, told = stage.profiles, stage.told.get(tenant_id)
    row = profiles.rows.get(tenant_id, -1)
    if row < 0:
        return _HEAD + _encoder.encode(TenantPart(*seen, row, b"", {}, waiting, told))
    profile, names, exchanged = profiles.encoded(row), profiles.names_of(row), profiles.encoded_exchanged(row)
    part = TenantPart(*seen, row, profile, names, waiting, told, exchanged, int(profiles.tokens[row]))
    return _HEAD + _encoder.encode(part)


def tenant_key(tenant_id: str) -> str:
    """Where a tenant's part is kept."""
    return _TENANT + tenant_id


def encode_memory(memory: Memory, stored: Iterable[str]) -> dict[str, bytes | None]:
    """The memory in parts by key; nothing for those ``stored`` before that are no longer needed."""
    campaigns, rows = [], []
    for campaign in memory.campaigns:
        pool = campaign.pool
        kept = np.flatnonzero(pool.share)
        rows.append(kept.astype(np.int32).tobytes())
        campaigns.append(msgspec.structs.replace(campaign, pool=Pool(pool.share[kept], pool.has_links, pool.weights)))
    whole = _encoder.encode(_MemoryPart(msgspec.structs.replace(memory, campaigns=campaigns), rows))
    parts: dict[str, bytes | None] = {
        f"{_MEMORY}{number:06}": _HEAD + whole[begin : begin + _PART_BYTES]
        for number, begin in enumerate(range(0, len(whole), _PART_BYTES))
    }
    return {key: None for key in stored if key.startswith(_MEMORY)} | parts


def restore(stage: CampaignStage, encoded: Mapping[str, bytes]) -> tuple[StageState, dict[str, tuple[int, int]]]:
    """Fill a new stage; its partition's state, and every tenant's newest signal taken. Raises ``StateError``."""
    for key, part in encoded.items():
        check_part(key, part)
    if PARTITION_KEY not in encoded:
        return StageState(), {}
    try:
        seen = _restore_tenants(stage, encoded)
        whole = b"".join(encoded[key][1:] for key in sorted(encoded) if key.startswith(_MEMORY))
        if whole:
            _restore_memory(stage, _memory.decode(whole))
        return _state.decode(encoded[PARTITION_KEY][1:]), seen
    except (msgspec.MsgspecError, ValueError, IndexError) as error:
        raise StateError(f"unreadable campaign state: {error}") from error


def _restore_tenants(stage: CampaignStage, encoded: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
    seen: dict[str, tuple[int, int]] = {}
    rows: list[tuple[int, str, TenantPart]] = []
    for key, value in encoded.items():
        if not key.startswith(_TENANT):
            continue
        tenant_id, part = key.removeprefix(_TENANT), _tenant.decode(value[1:])
        seen[tenant_id] = (part.sequence, part.pane_end_ms)
        stage.waiting += part.waiting
        if part.told is not None:
            stage.told[tenant_id] = part.told
        if part.row >= 0:
            rows.append((part.row, tenant_id, part))
            stage.profiles.names |= part.names
    rows.sort(key=lambda row: row[0])
    if [row for row, _, _ in rows] != list(range(len(rows))):
        raise StateError(f"campaign state lacks rows of {len(rows)} tenants")
    if rows:
        tenant_ids, parts = [tenant_id for _, tenant_id, _ in rows], [part for _, _, part in rows]
        exchanged, tokens = [part.exchanged for part in parts], [part.tokens for part in parts]
        stage.profiles.restore(tenant_ids, [part.profile for part in parts], exchanged, tokens)
    return seen


def _restore_memory(stage: CampaignStage, part: _MemoryPart) -> None:
    stage.memory = part.memory
    for campaign, encoded in zip(part.memory.campaigns, part.rows, strict=True):
        share = np.zeros(len(stage.profiles))
        share[np.frombuffer(encoded, np.int32)] = campaign.pool.share
        campaign.pool.share = share
