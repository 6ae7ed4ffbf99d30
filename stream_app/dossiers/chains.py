"""A chain of hashes over log records: each link holds the one before, so that no record can be changed or left out."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from struct import pack
from typing import Any, NamedTuple

#: What stands before the first record.
START = sha256(b"stillwatch dossier").hexdigest()


class Entry(NamedTuple):
    """A record as it lies in its log; ``value`` None is a tombstone."""

    place: str
    key: bytes
    value: bytes | None


def digest(entry: Entry) -> str:
    """SHA-256 of the key's length (four bytes), the key, whether there is a value, and the value."""
    value = b"\0" if entry.value is None else b"\1" + entry.value
    return sha256(pack(">I", len(entry.key)) + entry.key + value).hexdigest()


def chain(entries: Iterable[Entry]) -> dict[str, Any]:
    """The records' places and digests in order, each with its link: SHA-256 of the link before and the digest."""
    records = [{"place": entry.place, "sha256": digest(entry)} for entry in entries]
    linked = [record | {"link": link} for record, link in zip(records, _links(START, records), strict=True)]
    return {"start": START, "records": linked, "head": linked[-1]["link"] if linked else START}


def _links(link: str, records: Sequence[dict[str, str]]) -> Iterator[str]:
    for record in records:
        link = sha256(bytes.fromhex(link) + bytes.fromhex(record["sha256"])).hexdigest()
        yield link


def broken_link(told: dict[str, Any]) -> str | None:
    """The first place at which a chain does not hold together, or None."""
    try:
        for record, link in zip(told["records"], _links(told["start"], told["records"]), strict=True):
            if record["link"] != link:
                return f"the chain breaks at {record['place']}"
        last = told["records"][-1]["link"] if told["records"] else told["start"]
    except (KeyError, TypeError, ValueError):
        return "the chain cannot be read"
    return None if told["head"] == last else "the chain's head is not its last link"


def differences(told: dict[str, Any], entries: Iterable[Entry]) -> list[str]:
    """What a log says otherwise than a dossier: records that have changed, or are there no more."""
    found = {entry.place: digest(entry) for entry in entries}
    return [
        f"{record['place']}: {'not in the log any more' if record['place'] not in found else 'the log has another'}"
        for record in told["records"]
        if found.get(record["place"]) != record["sha256"]
    ]
