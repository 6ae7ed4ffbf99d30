"""What every mapping shares: fields to an event, or the reason why not."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address, ip_network

import msgspec
from msgspec import Struct

from stream_app.detection.events import MAX_ID_CHARS, MAX_STRING_CHARS, MAX_TOKENS, Event, is_served


class UnmappedReason(StrEnum):
    """Why a gateway's record gives no event."""

    NOT_JSON = "not_json"
    NO_IDENTITY = "no_identity"
    NO_TOKENS = "no_tokens"
    INVALID = "invalid"


class Unmapped(Struct, frozen=True):
    """A record that gives no event; ``detail`` is one line that repeats nothing of what the record holds."""

    reason: UnmappedReason
    detail: str


Mapped = Event | Unmapped
Fields = Mapping[str, object]

#: Contract v1 wants no whole address: so much of it names a network and no household.
_PREFIX_BITS = {4: 24, 6: 48}
_PLAIN_API = "none"


def build_event(fields: Fields) -> Mapped:
    """An event from its fields by name; None means that the gateway does not tell it, numbers may be written as text.

    Optional text that is too long is cut, since only its equality matters; identities are not.
    """
    try:
        return msgspec.convert(_told(fields), Event, strict=False)
    except msgspec.ValidationError as error:
        return Unmapped(UnmappedReason.INVALID, str(error))


def _told(fields: Fields) -> dict[str, object]:
    told: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            inner = _told(value)
            if inner:
                told[name] = inner
        elif isinstance(value, str) and name not in {"tenant_id", "account_id"}:
            told[name] = value[: MAX_ID_CHARS if name == "id" else MAX_STRING_CHARS]
        elif value is not None:
            told[name] = value
    return told


def model_and_tokens(
    model: object, input_tokens: object, output_tokens: object, *, status_code: object, service: object = None
) -> dict[str, object] | Unmapped:
    """The fields ``model``, ``input_tokens`` and ``output_tokens``.

    A request that never reached a model has no tokens. One of an ordinary API has no model either, and goes by its
    ``service``. But when a model served a request, its tokens must be told: without them nothing is measured.
    """
    if model in (None, ""):
        return {"model": service or _PLAIN_API, "input_tokens": 0, "output_tokens": 0}
    if input_tokens is None and output_tokens is None and is_served(as_count(status_code) or 0):
        return Unmapped(UnmappedReason.NO_TOKENS, "a model served the request, but its tokens are not told")
    return {"model": model, "input_tokens": as_count(input_tokens) or 0, "output_tokens": as_count(output_tokens) or 0}


def as_count(value: object) -> int | None:
    """A whole number from a number or its text; None from anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        count = int(float(value))
    except (ValueError, OverflowError):
        return None
    return count if 0 <= count <= MAX_TOKENS else None


def as_text(value: object) -> str | None:
    """Text that says something; None from anything else, as gateways write ``-`` or nothing for what is absent."""
    return value if isinstance(value, str) and value not in {"", "-"} else None


def part(record: object, *path: str) -> object:
    """What lies at a path of keys in nested objects; None when any of it is absent."""
    for key in path:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def time_of(unix_s: float) -> str | None:
    """RFC 3339 of a Unix time; None when no calendar has it."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def ip_prefix(address: object) -> str | None:
    """The /24 or /48 of a client's address, with or without its port; None when it is no address."""
    text = as_text(address)
    if text is None:
        return None
    text = text.split(",")[0].strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return str(ip_network((found, _PREFIX_BITS[found.version]), strict=False))
