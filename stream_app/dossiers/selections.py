"""Which records of the logs are about a campaign, and which of them are decisions for it."""

from collections.abc import Collection, Iterable

import msgspec

from stream_app.detection.decisions import Decision
from stream_app.dossiers.chains import Entry

_decoder = msgspec.json.Decoder(Decision)


def is_entry_of(key: bytes | None, ids: Collection[str]) -> bool:
    """Whether a record of the campaign log is the header or a member of a campaign with one of these ids."""
    return (key or b"").partition(b"/")[0].decode(errors="replace") in ids


def names_any(value: bytes | None, ids: Iterable[str]) -> bool:
    """Whether a decision's record names one of these ids; cheap, and true of some that do not concern it."""
    return any(f'"{one}"'.encode() in (value or b"") for one in ids)


def decisions_in(entries: Iterable[Entry], ids: Collection[str]) -> list[Decision]:
    """The decisions for a campaign of these ids, in order; a repeat after a crash is the same decision."""
    found: dict[str, Decision] = {}
    for entry in entries:
        decision = _decision(entry)
        if decision is not None and decision.campaign_id in ids:
            found.setdefault(decision.decision_id, decision)
    return list(found.values())


def _decision(entry: Entry) -> Decision | None:
    try:
        return _decoder.decode(entry.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # a campaign's entry
