"""What people do at the console: each action is one operator record, and each can be taken back by its opposite."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from stream_app.adapters.operator_topic import new_record
from stream_app.console.people import Person, Role
from stream_app.console.rows import Row
from stream_app.console.view import View, Word
from stream_app.detection.decisions import Action
from stream_app.detection.events import MAX_STRING_CHARS
from stream_app.detection.operators import OperatorRecord, RecordType

#: How long an exception or a hold may last: long enough for a review, short enough to be looked at again.
LIVES = {"1": "1 hour", "24": "1 day", "168": "1 week", "720": "30 days", "2160": "90 days"}
#: Whose word it takes: the switch for everybody's enforcement is an admin's.
ROLES = {RecordType.ENFORCEMENT: Role.ADMIN}
#: What a person may ask for here.
OFFERED = (
    RecordType.CONFIRM,
    RecordType.DISMISS,
    RecordType.RELEASE,
    RecordType.ALLOW,
    RecordType.OVERRIDE,
    RecordType.ENFORCEMENT,
)
#: What each is called on a page.
NAMES = {
    "confirm": "Confirm",
    "dismiss": "Dismiss",
    "release": "Release",
    "allow": "Allow-list",
    "override": "Extend",
    "enforcement": "Enforcement",
    "watch": "Watch",
    "policy": "Policy",
    "forget": "Forget",
    "indicators": "Indicators",
}


class ActionError(ValueError):
    """A form that asks for nothing that can be done; the message says why in one line."""


class Asked(Struct, frozen=True):
    """A form's fields."""

    type: str = ""
    subject: str = ""
    reason: str = ""
    hours: str = ""
    enforced: str = ""
    undoes: str = ""


def role_needed(type_: str) -> Role:
    """The role that an action takes."""
    return next((role for kind, role in ROLES.items() if kind == type_), Role.ANALYST)


def record_of(asked: Asked, person: Person, view: View, now: datetime) -> OperatorRecord:
    """The record that a form asks for, in the person's name; raises ``ActionError``."""
    reason = _reason(asked)
    if asked.undoes:
        return _undoing(asked.undoes, reason, person, view, now)
    if asked.type not in OFFERED:
        raise ActionError(f"{asked.type!r} is none of {', '.join(OFFERED)}")
    kind = RecordType(asked.type)
    expires_at, body = None, None
    match kind:
        case RecordType.ALLOW | RecordType.OVERRIDE:
            expires_at = now + timedelta(hours=_hours(asked))
            body = _held(asked.subject, view, now) if kind is RecordType.OVERRIDE else None
        case RecordType.DISMISS:
            expires_at = now + timedelta(hours=_hours(asked)) if asked.hours else None
        case RecordType.ENFORCEMENT:
            body = {"enforced": asked.enforced == "yes"}
        case _:
            pass
    subject = asked.subject if kind is not RecordType.ENFORCEMENT else None
    return new_record(kind, by=person.name, reason=reason, subject=subject, expires_at=expires_at, body=body)


def can_undo(word: Word, view: View, undone: Mapping[str, Word], now_ms: int) -> bool:
    """Whether a word has an opposite, and has not been taken back."""
    if word.problem or word.record.id in undone:
        return False
    try:
        _opposite(word.record, view, datetime.fromtimestamp(now_ms / 1000, UTC))
    except ActionError:
        return False
    return True


def _undoing(record_id: str, reason: str, person: Person, view: View, now: datetime) -> OperatorRecord:
    word = next((one for one in view.words if one.record.id == record_id), None)
    if word is None:
        raise ActionError(f"no operator record {record_id!r} is known here")
    if record_id in view.undone():
        raise ActionError("this has been taken back already")
    kind, expires_at, body = _opposite(word.record, view, now)
    subject = word.record.subject or None
    body = (body or {}) | {"undoes": record_id}
    return new_record(kind, by=person.name, reason=reason, subject=subject, expires_at=expires_at, body=body)


def _opposite(
    record: OperatorRecord, view: View, now: datetime
) -> tuple[RecordType, datetime | None, dict[str, Any] | None]:
    """The kind, end and body of what takes a record back."""
    match record.type:
        case "confirm":
            return RecordType.DISMISS, None, None
        case "dismiss":
            return RecordType.CONFIRM, None, None
        case "allow" | "override":
            return RecordType.RELEASE, None, None
        case "watch":
            return RecordType.WATCH, now, None
        case "enforcement":
            return RecordType.ENFORCEMENT, None, {"enforced": (record.body or {}).get("enforced") is False}
        case "release":
            row = _released(record, view)
            if row is None or row.expires_ms <= now.timestamp() * 1000:
                raise ActionError("what was released would have ended by now")
            return RecordType.OVERRIDE, datetime.fromtimestamp(row.expires_ms / 1000, UTC), _hold(row)
        case _:
            raise ActionError(f"a {record.type} has no opposite here: set what should hold instead")


def _released(record: OperatorRecord, view: View) -> Row | None:
    """The decision that a release ended: the subject's newest before it that denied something."""
    at_ms = record.at.timestamp() * 1000
    before = [row for row in view.log if row.key == record.subject and row.issued_ms <= at_ms and _denies(row)]
    return max(before, key=lambda row: (row.issued_ms, row.revision), default=None)


def _denies(row: Row) -> bool:
    return row.action.severity >= Action.THROTTLE.severity


def _held(subject: str, view: View, now: datetime) -> dict[str, Any]:
    """The body that holds a subject where it stands."""
    row = view.newest_of(subject)
    if row is None or not row.is_in_force(round(now.timestamp() * 1000)) or row.action is Action.ALLOW:
        raise ActionError(f"nothing is in force on {subject!r} that could be extended")
    return _hold(row)


def _hold(row: Row) -> dict[str, Any]:
    limit = row.whole().limit
    return {"action": row.action.value} | ({"limit": msgspec.to_builtins(limit)} if limit else {})


def _reason(asked: Asked) -> str:
    reason = asked.reason.strip()
    if not reason:
        raise ActionError("a reason is needed: the next person should know why")
    if len(reason) > MAX_STRING_CHARS:
        raise ActionError(f"a reason has at most {MAX_STRING_CHARS} characters")
    return reason


def _hours(asked: Asked) -> int:
    if asked.hours not in LIVES:
        raise ActionError(f"until when? One of {', '.join(LIVES.values())}")
    return int(asked.hours)
