"""Operator records: what people tell the detector while it runs (``schemas/operator``)."""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from stream_app.detection.campaigns.indicators import Indicators
from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.decisions import Action, Limit, split_key, tenant_subject
from stream_app.detection.decode import Rejected, RejectReason
from stream_app.detection.events import MAX_STRING_CHARS, Id, Text, Time
from stream_app.detection.policy import Policy, PolicyError, load_policy


class RecordType(StrEnum):
    """Kinds of operator records that this version acts upon; others are kept and ignored (enumerations are open)."""

    POLICY = "policy"
    OVERRIDE = "override"
    ALLOW = "allow"
    RELEASE = "release"
    WATCH = "watch"
    CONFIRM = "confirm"
    DISMISS = "dismiss"
    ENFORCEMENT = "enforcement"
    FORGET = "forget"
    INDICATORS = "indicators"


class OperatorRecord(Struct, frozen=True):
    """One record of the operator topic; ``subject`` is a control topic key such as ``tenant:acme``, or a campaign's.

    A record that takes back another names it in ``body.undoes``, for people; what it does follows from its type alone.
    """

    id: Id
    type: Text
    reason: Text
    by: Text
    at: Time
    subject: Text | UnsetType = UNSET
    expires_at: Time | UnsetType = UNSET
    body: dict[str, Any] | UnsetType = UNSET


class SetPolicy(Struct, frozen=True):
    """Judge by this policy from now on."""

    record: OperatorRecord
    policy: Policy


class Override(Struct, frozen=True):
    """Hold one subject at one action, whatever the scores say; ``expires_ms`` is event time.

    ``purpose`` says what an allowed subject does, such as *contracted distillation*.
    """

    record: OperatorRecord
    tenant_id: str
    action: Action
    expires_ms: int
    limit: Limit | UnsetType = UNSET
    purpose: str = ""


class Release(Struct, frozen=True):
    """End an override or a detector's decision of one subject."""

    record: OperatorRecord
    tenant_id: str


class ReleaseLink(Struct, frozen=True):
    """End what was decided on a shared value, by its ``key`` on the control topic, and leave it alone for a while."""

    record: OperatorRecord
    key: str


class Watch(Struct, frozen=True):
    """Judge one subject strictly until ``expires_ms`` of event time; one that has ended takes the watch back."""

    record: OperatorRecord
    tenant_id: str
    expires_ms: int


class Feedback(Struct, frozen=True):
    """What a person makes of a campaign; ``expires_ms`` of event time is when a dismissal ends, if it does."""

    record: OperatorRecord
    campaign_id: str
    is_confirmed: bool
    expires_ms: int | None = None


class Enforcement(Struct, frozen=True):
    """Whether limiters obey decisions at all; the newest record holds. Judging goes on as ever."""

    record: OperatorRecord
    is_enforced: bool


class Forget(Struct, frozen=True):
    """Erase everything remembered of one tenant."""

    record: OperatorRecord
    tenant_id: str


class Learn(Struct, frozen=True):
    """Take in what a partner provider tells of campaigns; it raises priors, and nobody is acted on for it."""

    record: OperatorRecord
    indicators: Indicators


class Ignored(Struct, frozen=True):
    """A valid record that is not acted upon: of an unknown kind, or a verdict repeated after a crash."""

    record: OperatorRecord | None = None


#: Scopes of decisions on values that members of a campaign share.
LINK_SCOPES = ("payment_fp", "signup_fp", "ip_prefix")
#: What people may ask for.
OperatorWord = SetPolicy | Override | Release | Watch
#: What a log that every worker reads may ask for.
Instruction = OperatorWord | ReleaseLink | Feedback | Enforcement | Forget | Learn | Ignored | Verdict


class JournalEntry(Struct, frozen=True):
    """Where among a partition's events an instruction took effect: after the event at ``applied_after_offset``.

    ``log`` and ``offset`` say which instruction; -1 means before all events.
    """

    partition: int
    log: str
    offset: int
    applied_after_offset: int


_record = msgspec.json.Decoder(OperatorRecord)


def parse_operator(value: bytes | None) -> Instruction | Rejected:
    """What an operator record asks for, or why it cannot be followed; never raises."""
    if not value:
        return Rejected(RejectReason.EMPTY, "the record has no value")
    try:
        record = _record.decode(value)
    except msgspec.ValidationError as error:
        return Rejected(RejectReason.INVALID, str(error))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(RejectReason.NOT_JSON, str(error) or "nested too deeply")
    try:
        return _instruction(record)
    except (ValueError, PolicyError) as error:
        return Rejected(RejectReason.INVALID, str(error))


def _instruction(record: OperatorRecord) -> Instruction:  # noqa: PLR0911 - one a type
    body = record.body or {}
    match record.type:
        case RecordType.POLICY:
            text = body.get("yaml")
            if not isinstance(text, str):
                raise ValueError("body.yaml must hold the policy's text")
            return SetPolicy(record, load_policy(text, f"operator record {record.id}"))
        case RecordType.OVERRIDE | RecordType.ALLOW:
            return _override(record, body)
        case RecordType.RELEASE:
            return _release_link(record) or Release(record, _tenant_of(record))
        case RecordType.WATCH if str(record.subject).startswith(("tenant:", "account:")):
            return Watch(record, _tenant_of(record), _expires_ms(record))
        case RecordType.CONFIRM | RecordType.DISMISS:
            return _feedback(record)
        case RecordType.ENFORCEMENT:
            return _enforcement(record, body)
        case RecordType.FORGET:
            return _forget(record)
        case RecordType.INDICATORS:
            return _learn(record, body)
        case _:
            return Ignored(record)


def _override(record: OperatorRecord, body: dict[str, Any]) -> Override:
    expires_ms = _expires_ms(record)
    purpose = body.get("purpose", "")
    if not isinstance(purpose, str) or len(purpose) > MAX_STRING_CHARS:
        raise ValueError(f"body.purpose must be a text of at most {MAX_STRING_CHARS} characters")
    action = Action.ALLOW if record.type == RecordType.ALLOW else msgspec.convert(body.get("action"), Action)
    limit = msgspec.convert(body["limit"], Limit) if "limit" in body else UNSET
    return Override(record, _tenant_of(record), action, expires_ms, limit, purpose)


def _release_link(record: OperatorRecord) -> ReleaseLink | None:
    scope, parts = split_key(record.subject or "")
    if scope not in LINK_SCOPES:
        return None
    return ReleaseLink(record, f"{scope}:{tenant_subject('/'.join(parts))}")  # a prefix may come with its slash


def _feedback(record: OperatorRecord) -> Feedback:
    scope, parts = split_key(record.subject or "")
    if scope != "campaign" or len(parts) != 1 or not parts[0]:
        raise ValueError(f"subject {record.subject!r} must be campaign:ID")
    is_confirmed = record.type == RecordType.CONFIRM
    if is_confirmed and record.expires_at:
        raise ValueError("a confirmation has no expires_at: dismiss ends it")
    return Feedback(record, parts[0], is_confirmed, _expires_ms(record) if record.expires_at else None)


def _enforcement(record: OperatorRecord, body: dict[str, Any]) -> Enforcement:
    if not isinstance(is_enforced := body.get("enforced"), bool):
        raise ValueError("body.enforced must be true or false")
    return Enforcement(record, is_enforced)


def _forget(record: OperatorRecord) -> Forget:
    if not str(record.subject).startswith("tenant:"):
        raise ValueError(f"subject {record.subject or ''!r} must be tenant:ID")
    return Forget(record, _tenant_of(record))


def _learn(record: OperatorRecord, body: dict[str, Any]) -> Learn:
    bundle = body.get("bundle")
    if not isinstance(bundle, dict):
        raise ValueError("body.bundle must hold what an imported bundle comes to")
    told = {name: bundle[name] for name in ("partner", "key_id", "parts", "told_ms") if name in bundle}
    return Learn(record, msgspec.convert(told | {"expires_ms": _expires_ms(record)}, Indicators))


def _expires_ms(record: OperatorRecord) -> int:
    if not record.expires_at:
        raise ValueError("expires_at is required: nothing is forced for ever")
    return round(record.expires_at.timestamp() * 1000)


def _tenant_of(record: OperatorRecord) -> str:
    scope, parts = split_key(record.subject or "")
    if (scope, len(parts)) not in {("tenant", 1), ("account", 2)}:
        raise ValueError(f"subject {record.subject!r} must be tenant:ID or account:TENANT/ACCOUNT")
    if not all(parts) or "\0" in parts[0]:
        raise ValueError(f"subject {record.subject!r} has an empty part or a NUL character")
    return parts[0]
