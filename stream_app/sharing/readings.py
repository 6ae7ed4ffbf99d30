"""A bundle from a partner to what is believed of it: signed by a trusted key, marked, not expired, within bounds."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import orjson
import stix2
from msgspec import Struct
from stix2.exceptions import STIXError

from stream_app.detection.campaigns.indicators import GROUP_OF, MAX_PARTS, MAX_VALUES, Indicators, Part
from stream_app.sharing.bundles import EXTENSION, MARKINGS, MAX_VALID_DAYS, Tlp
from stream_app.signatures import Purpose, Signature, SignatureRefusedError, Verifier

#: Larger than the largest bundle of ours, by half; nothing larger is looked at.
MAX_BYTES = 1 << 20
#: Objects of as many parts as there may be, each with an indicator and a link for every kind, and what goes with them.
MAX_OBJECTS = MAX_PARTS * (1 + 2 * len(GROUP_OF)) + 10
#: What is told for later must not begin later than clocks differ.
_AHEAD = timedelta(minutes=5)
_DIGEST = re.compile(r"[0-9a-f]{8}|[0-9a-f]{16}")
_TLP_OF = {marking.id: tlp for tlp, marking in MARKINGS.items()}


class BundleRefusedError(Exception):
    """Nothing of a bundle may be believed; the message says why in one line."""


class Reading(NamedTuple):
    """A bundle that was believed: who says so and who signed, for whom, until when, and what goes to the core."""

    provider: str
    tlp: Tlp
    valid_until: datetime
    indicators: Indicators

    def body(self) -> dict[str, Any]:
        """The body of the operator record."""
        plain = msgspec.to_builtins(self.indicators)
        del plain["expires_ms"]
        told = {"provider": self.provider, "tlp": self.tlp.value}
        return {"bundle": plain | told}


class _Carriers(Struct):
    kind: str
    key_id: str
    carriers: dict[str, int]


class _Whole(Struct):
    members: int
    is_proved: bool


def read_bundle(content: bytes, signature: str, verifier: Verifier, now: datetime) -> Reading:
    """Check a bundle and take from it what this version understands. Raises ``BundleRefusedError``.

    Nothing is parsed before the signature over the very bytes was verified. The partner is the key that signed: a name
    that stands in the bundle gives nobody another's place.
    """
    if len(content) > MAX_BYTES:
        raise BundleRefusedError(f"the bundle has {len(content):,} bytes, and at most {MAX_BYTES:,} are read")
    try:
        signed = Signature.parse(signature.strip())
        verifier.verify(content, signed, Purpose.INDICATORS)
    except SignatureRefusedError as error:
        raise BundleRefusedError(str(error)) from error
    try:
        return _reading(_objects(content), signed.key_id, now)
    except (msgspec.ValidationError, STIXError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleRefusedError(f"not a bundle of indicators: {problem[:200]}") from error


def _objects(content: bytes) -> list[Any]:
    plain = orjson.loads(content)
    if not isinstance(plain, dict) or plain.get("type") != "bundle" or not isinstance(plain.get("objects"), list):
        raise BundleRefusedError("not a STIX bundle")
    if len(plain["objects"]) > MAX_OBJECTS:
        raise BundleRefusedError(f"the bundle has {len(plain['objects'])} objects, and at most {MAX_OBJECTS} are read")
    objects: list[Any] = stix2.parse(plain, version="2.1").objects
    return objects


def _reading(objects: list[Any], partner: str, now: datetime) -> Reading:
    wholes = {one.id: one for one in objects if one.type == "campaign"}
    indicators = {one.id: one for one in objects if one.type == "indicator"}
    targets = {one.source_ref: one.target_ref for one in objects if one.type == "relationship"}
    if not wholes or not indicators:
        raise BundleRefusedError("the bundle tells of no campaign")
    tlp = _marking([*wholes.values(), *indicators.values()])
    told_at = _told_at([*wholes.values(), *indicators.values()], now)
    valid_until = _validity(list(indicators.values()), now)
    names = [one.name for one in objects if one.type == "identity"]
    values: dict[str, dict[str, dict[str, int]]] = {}
    key_ids = set()
    for indicator in indicators.values():
        told = msgspec.convert(dict(indicator.extensions[EXTENSION]), _Carriers)
        key_ids.add(told.key_id)
        if told.kind in GROUP_OF:
            values.setdefault(targets[indicator.id], {})[told.kind] = _checked(told.carriers)
    if len(key_ids) != 1:
        raise BundleRefusedError("the bundle mixes exchange keys")
    parts = []
    for part_id, own in values.items():
        whole = msgspec.convert(dict(wholes[part_id].extensions[EXTENSION]), _Whole)
        parts.append(Part(part_id, whole.members, whole.is_proved, own))
    expires_ms, told_ms = (round(at.timestamp() * 1000) for at in (valid_until, told_at))
    believed = Indicators(partner, key_ids.pop(), expires_ms, parts, told_ms)
    checked = msgspec.convert(msgspec.to_builtins(believed), Indicators)
    return Reading(names[0] if names else "", tlp, valid_until, checked)


def _marking(objects: list[Any]) -> Tlp:
    """The one marking that all objects bear; without one nobody knows who may hear of it."""
    marks = {_TLP_OF.get(mark) for one in objects for mark in one.get("object_marking_refs", [None])}
    if None in marks or len(marks) != 1:
        raise BundleRefusedError("the bundle must be marked TLP clear, green or amber, all of it alike")
    return marks.pop() or Tlp.AMBER


def _told_at(objects: list[Any], now: datetime) -> datetime:
    """When the newest of it was written. A time to come would keep out what the partner tells next."""
    newest: datetime = max(one.modified for one in objects)
    if newest > now + _AHEAD:
        raise BundleRefusedError(
            f"the bundle was written at {newest.astimezone(UTC):%Y-%m-%d %H:%M} UTC, which is to come"
        )
    return newest


def _validity(indicators: list[Any], now: datetime) -> datetime:
    """When the first of them ends: what is told together is forgotten together."""
    if any("valid_until" not in one for one in indicators):
        raise BundleRefusedError("an indicator has no valid_until: nothing is believed for ever")
    begin: datetime = max(one.valid_from for one in indicators)
    end = datetime.fromtimestamp(min(one.valid_until.timestamp() for one in indicators), UTC)
    if end <= now:
        raise BundleRefusedError(f"the bundle expired at {end:%Y-%m-%d %H:%M} UTC")
    if begin > now + _AHEAD:
        raise BundleRefusedError(f"the bundle begins at {begin.astimezone(UTC):%Y-%m-%d %H:%M} UTC, which is to come")
    if end > now + timedelta(days=MAX_VALID_DAYS):
        raise BundleRefusedError(f"the bundle would hold for more than {MAX_VALID_DAYS} days")
    return end


def refuse_older(reading: Reading, known: Iterable[Indicators]) -> None:
    """Raise ``BundleRefusedError`` if its partner has told anything later: an old bundle that somebody sends again."""
    own = [one.told_ms for one in known if one.partner == reading.indicators.partner]
    if (newest_ms := max(own, default=0)) > (told_ms := reading.indicators.told_ms):
        older, newer = (
            f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" for ms in (told_ms, newest_ms)
        )
        raise BundleRefusedError(f"it was written at {older}, and {newer} was imported already: an old one sent again")


def _checked(carriers: dict[str, int]) -> dict[str, int]:
    if len(carriers) > MAX_VALUES:
        raise BundleRefusedError(f"an indicator has {len(carriers)} values, and at most {MAX_VALUES} are read")
    if bad := next((digest for digest in carriers if not _DIGEST.fullmatch(digest)), None):
        raise BundleRefusedError(f"{bad[:64]!r} is no digest")
    return carriers
