"""What the campaign stage remembers of every tenant, in columns: under a kilobyte each."""

from collections.abc import Collection
from typing import TypeVar
from zlib import crc32

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from stream_app.detection.signals import MAX_EXCHANGED, SIGNAL_EVERY_MS, Profile, PromptSketch, Signal

#: The newest prompts remembered of a tenant: two days of an ordinary account.
PROMPTS = 32
#: Skeletons remembered of one prompt: wrappers stand at its edges, so one of the first three is the wrapper's.
TEMPLATES = 3
PREFIXES, CLIENTS, SYSTEMS, PROGRAMS = 8, 2, 4, 6
#: Times of prompts count such units, those of signals, modulo 2^16 (227 days): they only tell which were at one time.
_SENT_MS, _SENT_MODULUS = SIGNAL_EVERY_MS, 1 << 16
_FIRST_ROWS = 1024
#: Columns beside those of links. Encoded rows did not always have the last.
_ATTRIBUTES = (
    "templates",
    "simhashes",
    "prompts",
    "requests",
    "created_ms",
    "first_ms",
    "last_ms",
    "scored",
    "cot",
    "sent",
)

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


Number = TypeVar("Number", bound=np.generic)


def value_hash(text: str) -> int:
    """32 bits that stand for a link value, never 0 (nothing); a chance collision joins two tenants among millions."""
    unsigned = crc32(text.encode()) or 1
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


class Profiles:
    """Columns by row; a tenant keeps its row until ``forget``. A 0 in a column of hashes is an absent value.

    Bounded by the number of tenants: 984 bytes each, beside its id. ``sent`` is when prompts were, ``exchanged`` are
    the newest distinct skeletons under the key shared with partners, if any, the newest first; ``tokens`` are output
    tokens. ``names`` holds the text of links for people; those that no tenant carries any more go with ``forget``.
    """

    def __init__(self) -> None:
        self.tenant_ids: list[str] = []
        self.rows: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.links: dict[str, Ints] = {
            "payment": np.zeros((_FIRST_ROWS, 1), np.int32),
            "payment_bin": np.zeros((_FIRST_ROWS, 1), np.int32),
            "signup": np.zeros((_FIRST_ROWS, 1), np.int32),
            "prefix": np.zeros((_FIRST_ROWS, PREFIXES), np.int32),
            "ja4": np.zeros((_FIRST_ROWS, CLIENTS), np.int32),
            "http": np.zeros((_FIRST_ROWS, CLIENTS), np.int32),
            "system": np.zeros((_FIRST_ROWS, SYSTEMS), np.int32),
            "program": np.zeros((_FIRST_ROWS, PROGRAMS), np.int32),
        }
        self.templates = np.zeros((_FIRST_ROWS, PROMPTS, TEMPLATES), np.int32)
        self.simhashes = np.zeros((_FIRST_ROWS, PROMPTS), np.uint64)
        self.sent = np.zeros((_FIRST_ROWS, PROMPTS), np.uint16)
        self.exchanged = np.zeros((_FIRST_ROWS, MAX_EXCHANGED), np.int32)
        self.prompts = np.zeros(_FIRST_ROWS, np.int32)
        self.requests = np.zeros(_FIRST_ROWS, np.int64)
        self.tokens = np.zeros(_FIRST_ROWS, np.int64)
        self.created_ms = np.zeros(_FIRST_ROWS, np.int64)
        self.first_ms = np.zeros(_FIRST_ROWS, np.int64)
        self.last_ms = np.zeros(_FIRST_ROWS, np.int64)
        self.scored = np.zeros(_FIRST_ROWS, np.int32)
        self.cot = np.zeros(_FIRST_ROWS, np.float32)

    def __len__(self) -> int:
        return len(self.tenant_ids)

    def add(self, signal: Signal) -> int:
        """Take in a signal; its tenant's row. Some twenty microseconds."""
        row = self.rows.get(signal.tenant_id)
        if row is None:
            row = self._new_row(signal)
        self.requests[row] += signal.requests
        self.last_ms[row] = max(self.last_ms[row], signal.pane_end_ms)
        profile = signal.profile
        self.tokens[row] += profile.tokens
        if profile.created_ms is not UNSET:
            self.created_ms[row] = profile.created_ms
        self._add_links(row, profile)
        if profile.prompts:
            self._add_prompts(row, profile.prompts, signal.pane_end_ms // _SENT_MS % _SENT_MODULUS)
        if profile.exchanged:
            newest = dict.fromkeys(value_hash(text) for text in reversed(profile.exchanged))
            kept = [*newest, *(value for value in self.exchanged[row].tolist() if value not in newest)]
            self.exchanged[row] = kept[:MAX_EXCHANGED]
        if profile.scored:
            self.scored[row] += profile.scored
            self.cot[row] += profile.scores.get("cot_elicitation", 0.0)
        return row

    def _add_prompts(self, row: int, prompts: list[PromptSketch], sent: int) -> None:
        count, simhashes, templates = int(self.prompts[row]), self.simhashes[row], self.templates[row]
        for prompt in prompts:
            self.sent[row, count % PROMPTS] = sent
            simhashes[count % PROMPTS] = int(prompt.simhash, 16) if prompt.simhash else 0
            hashes = [value_hash(template) for template in prompt.templates[:TEMPLATES]]
            templates[count % PROMPTS] = hashes + [0] * (TEMPLATES - len(hashes)) if hashes else 0
            count += 1
        self.prompts[row] = count

    def _add_links(self, row: int, profile: Profile) -> None:
        self._put("payment", row, _one(profile.payment_fp))
        self._put("payment_bin", row, _one(profile.payment_bin))
        self._put("signup", row, _one(profile.signup_fp))
        self._put("prefix", row, profile.ip_prefixes)
        self._put("ja4", row, profile.ja4)
        self._put("http", row, profile.http_fps)
        self._put("system", row, profile.systems)
        self._put("program", row, profile.programs)

    def _put(self, link: str, row: int, texts: Collection[str]) -> None:
        """Move values to the front, the last of ``texts`` foremost; for so few a list is faster than an array."""
        if not texts:
            return
        before: list[int] = self.links[link][row].tolist()
        kept = before.copy()
        for text in texts:
            value = value_hash(text)
            if kept[0] != value:
                del kept[kept.index(value) if value in kept else -1]
                kept.insert(0, value)
                self.names.setdefault(value, text)
        if kept != before:
            self.links[link][row] = kept

    def _new_row(self, signal: Signal) -> int:
        row = len(self.tenant_ids)
        if row == len(self.requests):
            self._resize(np.arange(row), 2 * row)
        self.rows[signal.tenant_id] = row
        self.tenant_ids.append(signal.tenant_id)
        self.first_ms[row] = signal.pane_end_ms
        return row

    def forget(self, keep: Flags) -> None:
        """Drop the rows that ``keep`` does not name; the others move up in their order."""
        kept = np.flatnonzero(keep)
        self.tenant_ids = [self.tenant_ids[row] for row in kept]
        self.rows = {tenant_id: row for row, tenant_id in enumerate(self.tenant_ids)}
        self._resize(kept, max(_FIRST_ROWS, 1 << len(kept).bit_length()))
        carried = set(np.unique(np.concatenate([column.ravel() for column in self.links.values()])).tolist())
        self.names = {value: name for value, name in self.names.items() if value in carried}

    def _resize(self, kept: NDArray[np.intp], size: int) -> None:
        for name, column in self.links.items():
            self.links[name] = _moved(column, kept, size)
        for attribute in (*_ATTRIBUTES, "exchanged", "tokens"):
            setattr(self, attribute, _moved(getattr(self, attribute), kept, size))

    def _columns(self) -> list[NDArray[np.generic]]:
        return [*self.links.values(), *(getattr(self, attribute) for attribute in _ATTRIBUTES)]

    def encoded(self, row: int) -> bytes:
        """A row as bytes, 848 of them, without ``exchanged`` and ``tokens``, which rows did not always have."""
        return b"".join(column[row].tobytes() for column in self._columns())

    def encoded_exchanged(self, row: int) -> bytes:
        """Bytes of a row's skeletons under the exchange key; none when there are none."""
        return self.exchanged[row].tobytes() if self.exchanged[row, 0] else b""

    def names_of(self, row: int) -> dict[int, str]:
        """The text of a row's links."""
        values = (value for column in self.links.values() for value in column[row].tolist())
        return {value: self.names[value] for value in values if value in self.names}

    def restore(self, tenant_ids: list[str], encoded: list[bytes], exchanged: list[bytes], tokens: list[int]) -> None:
        """Put encoded rows of these tenants, in their order, into profiles that are empty; ``ValueError`` if damaged.

        What older rows lack is 0.
        """
        count = len(tenant_ids)
        self.tenant_ids = tenant_ids
        self.rows = {tenant_id: row for row, tenant_id in enumerate(tenant_ids)}
        self._resize(np.arange(0), max(_FIRST_ROWS, 1 << count.bit_length()))
        size = sum(column[0].nbytes for column in self._columns())
        if any(len(row) not in {size - self.sent[0].nbytes, size} for row in encoded):
            raise ValueError("rows of another size")
        table = np.frombuffer(b"".join(row.ljust(size, b"\0") for row in encoded), np.uint8).reshape(count, size)
        begin = 0
        for column in self._columns():
            width = column[0].nbytes
            part = np.ascontiguousarray(table[:, begin : begin + width])
            column[:count] = part.view(column.dtype).reshape(count, *column.shape[1:])
            begin += width
        self.tokens[:count] = tokens
        for row, values in enumerate(exchanged):
            if values:
                self.exchanged[row] = np.frombuffer(values, np.int32)


def _one(value: str | UnsetType) -> tuple[str, ...]:
    return (value,) if value else ()


def _moved(column: NDArray[Number], kept: NDArray[np.intp], size: int) -> NDArray[Number]:
    moved = np.zeros((size, *column.shape[1:]), column.dtype)
    moved[: len(kept)] = column[kept]
    return moved
