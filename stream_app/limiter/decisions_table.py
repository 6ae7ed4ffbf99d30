"""The table of decisions a limiter holds: what the control topic says now about each subject."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from queue import SimpleQueue
from sys import intern
from threading import Lock
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from stream_app.detection.decisions import Action, split_key
from stream_app.limiter.allowances import Allowance
from stream_app.limiter.buckets import UNLIMITED, Bucket, Throttle
from stream_app.topology import DAY_MS

#: How long a subject's revision is remembered after its decision expired or was deleted: the topic's
#: ``delete.retention.ms``, the time for which Kafka itself promises that a deletion can still be read.
REVISION_MEMORY_MS = DAY_MS

SubjectKey = tuple[str, ...]
Rate = Annotated[int, Meta(ge=0)]


class _Reason(Struct, frozen=True):
    code: str


class _Limit(Struct, frozen=True):
    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None


class _Record(Struct, frozen=True):
    """The fields of decision v1 that a limiter obeys; the evidence is left undecoded."""

    decision_id: str
    scope: str
    subject: str
    action: Action
    simulated: bool
    origin: str
    reasons: list[_Reason]
    expires_at: Annotated[datetime, Meta(tz=True)]
    revision: int
    limit: _Limit = _Limit()


_decoder = msgspec.json.Decoder(_Record)


class KnownDecision(Struct, frozen=True):
    """One decision as a limiter obeys it, with its action's severity and its answer to a request that it lets pass."""

    decision_id: str
    action: Action
    severity: int
    simulated: bool
    is_operators: bool
    reason_code: str
    expires_ms: int
    throttle: Throttle
    passing: Allowance


class _Row(Struct, frozen=True):
    """``decision`` None: nothing holds, but records below ``min_revision`` are still refused, until ``forget_ms``.

    ``signed_ms`` is when the newest of its records was signed, 0 where signatures are not looked at.
    """

    min_revision: int
    decision: KnownDecision | None
    forget_ms: int
    signed_ms: int = 0


class DecisionsTable:
    """Decisions by subject, built from the records of the control topic in log order.

    One thread writes (``apply``, ``drop_expired``, ``mark_complete``), any number may read. Only the order within a
    key matters, and applying the whole log again gives the same table.

    A record with a lower revision than its subject has had is ignored, also for a day after the decision expired or
    was deleted by a tombstone: an owner that was frozen and wakes up cannot revive an old block. A tombstone has no
    revision and always deletes, unless it was signed before what its subject has had. A table that is built later,
    from a log compacted down to such a late record, has no way to know better: that case is for the writer, which
    keeps a release longer than any decision lives, so that the late record has expired.

    ``spending`` is held while buckets are read or changed: by checks, and here where a decision takes buckets over.

    Memory: one row per subject with an unexpired decision, or with one that ended less than a day ago.
    """

    def __init__(self) -> None:
        self.spending = Lock()
        self._rows: dict[SubjectKey, _Row] = {}
        self._complete_ms: int | None = None
        self._followers: list[SimpleQueue[SubjectKey]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, key: bytes | None, value: bytes | None, now_ms: int, signed_ms: int = 0) -> str | None:
        """Take one record in; ``value`` None is a tombstone. Returns why the record is unreadable, or None.

        ``signed_ms`` is when it was signed, where signatures are verified.

        An unreadable record changes nothing: what the subject had before stays.
        """
        try:
            subject_key = _subject_key(key)
            if value is None:
                self._delete(subject_key, now_ms, signed_ms)
            else:
                self._put(subject_key, _read(key, value), now_ms, signed_ms)
            for follower in self._followers:
                follower.put(subject_key)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return str(error)
        return None

    def find(self, subject_keys: Iterable[SubjectKey], now_ms: int) -> list[KnownDecision]:
        """Unexpired decisions about any of the subjects, such as ``("account", tenant_id, account_id)``."""
        found = []
        for subject_key in subject_keys:
            row = self._rows.get(subject_key)
            if row is not None and row.decision is not None and row.decision.expires_ms > now_ms:
                found.append(row.decision)
        return found

    def obeyed(self, subject_key: SubjectKey, now_ms: int) -> KnownDecision | None:
        """What is obeyed about a subject now: an enforced restriction, or an operator's allow."""
        row = self._rows.get(subject_key)
        return row.decision if row is not None and _is_obeyed(row.decision, now_ms) else None

    def all_obeyed(self, now_ms: int) -> dict[SubjectKey, KnownDecision]:
        """All of them. Cost: some 30 ms per 100,000 rows."""
        rows = list(self._rows.items())
        return {key: row.decision for key, row in rows if row.decision and _is_obeyed(row.decision, now_ms)}

    def follow(self) -> SimpleQueue[SubjectKey]:
        """A queue that is told each subject whose record is read from now on; it grows until it is taken from."""
        follower: SimpleQueue[SubjectKey] = SimpleQueue()
        self._followers.append(follower)
        return follower

    def drop_expired(self, now_ms: int) -> None:
        """Free expired decisions, and revisions nobody needs any more. Cost: some 30 ms per 100,000 rows."""
        ended = [
            (subject_key, row)
            for subject_key, row in self._rows.items()
            if row.forget_ms <= now_ms or (row.decision is not None and row.decision.expires_ms <= now_ms)
        ]
        for subject_key, row in ended:
            if row.forget_ms <= now_ms:
                del self._rows[subject_key]
            else:
                self._rows[subject_key] = _Row(row.min_revision, None, row.forget_ms, row.signed_ms)

    def count_active(self) -> Counter[tuple[Action, bool]]:
        """Decisions by action and whether they are simulated, as of the last ``drop_expired``."""
        rows = list(self._rows.values())
        return Counter((row.decision.action, row.decision.simulated) for row in rows if row.decision)

    def mark_complete(self, at_ms: int) -> None:
        """Everything the control topic held at ``at_ms`` has been applied."""
        self._complete_ms = at_ms

    def age_s(self, now_ms: int) -> float | None:
        """Seconds since the table was last known to be complete; None before it ever was."""
        if self._complete_ms is None:
            return None
        return max(0, now_ms - self._complete_ms) / 1000

    def _delete(self, subject_key: SubjectKey, now_ms: int, signed_ms: int) -> None:
        row = self._rows.get(subject_key)
        if row is not None and signed_ms >= row.signed_ms:
            forget_ms = max(row.forget_ms, now_ms + REVISION_MEMORY_MS)
            self._rows[subject_key] = _Row(row.min_revision, None, forget_ms, signed_ms)

    def _put(self, subject_key: SubjectKey, record: _Record, now_ms: int, signed_ms: int) -> None:
        row = self._rows.get(subject_key)
        if row is not None and record.revision < row.min_revision:
            return
        expires_ms = int(record.expires_at.timestamp() * 1000)
        reason_code = record.reasons[0].code if record.reasons else record.origin
        decision = KnownDecision(
            decision_id=record.decision_id,
            action=record.action,
            severity=record.action.severity,
            simulated=record.simulated,
            is_operators=record.origin == "operator",
            reason_code=reason_code,
            expires_ms=expires_ms,
            throttle=self._throttle(record, row, now_ms),
            passing=Allowance(
                allowed=True,
                action=record.action,
                reason_code=reason_code,
                decision_id=record.decision_id,
                simulated=record.simulated,
            ),
        )
        forget_ms = max(expires_ms, now_ms) + REVISION_MEMORY_MS
        held = decision if expires_ms > now_ms else None
        newest_ms = max(signed_ms, row.signed_ms if row else 0)
        self._rows[subject_key] = _Row(record.revision, held, forget_ms, newest_ms)

    def _throttle(self, record: _Record, row: _Row | None, now_ms: int) -> Throttle:
        """Buckets for a throttle; those in use go on, so that a repeated decision neither gives nor takes anything."""
        if record.action is not Action.THROTTLE:
            return UNLIMITED
        old = _spent_buckets(row, now_ms)
        with self.spending:
            return Throttle(
                requests=_bucket(record.limit.requests_per_minute, old.requests, now_ms),
                tokens=_bucket(record.limit.tokens_per_minute, old.tokens, now_ms),
            )


def _is_obeyed(decision: KnownDecision | None, now_ms: int) -> bool:
    if decision is None or decision.simulated or decision.expires_ms <= now_ms:
        return False
    return decision.severity >= Action.THROTTLE.severity or (decision.is_operators and decision.action is Action.ALLOW)


def _spent_buckets(row: _Row | None, now_ms: int) -> Throttle:
    """Buckets that requests are charged to until now; those of expired or simulated decisions fill unspent."""
    if row is None or row.decision is None or row.decision.simulated or row.decision.expires_ms <= now_ms:
        return UNLIMITED
    return row.decision.throttle


def _subject_key(key: bytes | None) -> SubjectKey:
    if key is None:
        raise ValueError("record without a key")
    scope, parts = split_key(key.decode())
    if scope != "account":
        return (intern(scope), "/".join(parts))  # the same object in all keys, as in those that are looked up
    if len(parts) != 2:
        raise ValueError(f"not account:TENANT/ACCOUNT: {key.decode()!r}")
    return ("account", *parts)


def _read(key: bytes | None, value: bytes) -> _Record:
    record = _decoder.decode(value)
    if f"{record.scope}:{record.subject}".encode() != key:
        raise ValueError(f"a decision about {record.scope}:{record.subject} under another key")
    return record


def _bucket(per_minute: int | None, old: Bucket | None, now_ms: int) -> Bucket | None:
    if per_minute is None:
        return None
    if old is None:
        return Bucket(per_minute, now_ms)
    return old if old.per_minute == per_minute else old.resized(per_minute, now_ms)
