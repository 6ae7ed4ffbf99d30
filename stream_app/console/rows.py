"""Decisions as the console keeps them: the fields that people filter by, and the record as it came."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from stream_app.detection.decisions import Action, Budget, Decision
from stream_app.plots.loads import Actions

#: Scopes that a decision can have, for the filter's list.
SCOPES = ("tenant", "account", "payment_fp", "signup_fp", "ip_prefix")
ORIGINS = ("detector", "operator", "partner")
#: Rows of one page of a table: it fits a look, and a phone's memory.
PAGE_ROWS = 50
#: A longer search text is a mistake.
_MAX_TEXT = 200


class FilterError(ValueError):
    """A filter that cannot be read; the message says which and why."""


class _Code(Struct, frozen=True):
    code: str


class _Brief(Struct, frozen=True):
    decision_id: str
    scope: str
    subject: str
    tenant_id: str
    action: Action
    simulated: bool
    origin: str
    reasons: list[_Code]
    issued_at: datetime
    expires_at: datetime
    revision: int
    campaign_id: str = ""
    harm_budget: Budget | None = None


class Row(Struct, frozen=True, gc=False):
    """One decision; ``codes`` are its reasons' codes with a blank between, ``value`` the whole record."""

    decision_id: str
    key: str
    scope: str
    tenant_id: str
    action: Action
    is_simulated: bool
    origin: str
    codes: str
    campaign_id: str
    issued_ms: int
    expires_ms: int
    revision: int
    value: bytes

    def whole(self) -> Decision:
        """All that the record says."""
        return _whole.decode(self.value)

    def is_in_force(self, now_ms: int) -> bool:
        """Whether it still holds something; an allow by the detector only ends what was before."""
        return self.expires_ms > now_ms and (self.action is not Action.ALLOW or self.origin != "detector")


class Filter(Struct, frozen=True):
    """What a person asks for; an empty field asks for nothing. Times are ``YYYY-MM-DDTHH:MM`` in UTC."""

    action: str = ""
    scope: str = ""
    origin: str = ""
    reason: str = ""
    simulated: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    now: str = ""

    def choose(self, rows: Iterable[Row], now_ms: int) -> list[Row]:
        """The rows that fit, newest first; 100,000 take some 50 ms."""
        since_ms, until_ms = _ms(self.since, "since") or 0, _ms(self.until, "until") or 1 << 62
        text, is_simulated = self.text.lower(), self.simulated == "yes"
        chosen = [
            row
            for row in rows
            if (not self.action or row.action == self.action)
            and (not self.scope or row.scope == self.scope)
            and (not self.origin or row.origin == self.origin)
            and (not self.simulated or row.is_simulated is is_simulated)
            and (not self.reason or self.reason in row.codes.split(" "))
            and since_ms <= row.issued_ms <= until_ms
            and (not text or text in f"{row.key} {row.tenant_id} {row.decision_id} {row.campaign_id}".lower())
            and (not self.now or row.is_in_force(now_ms))
        ]
        chosen.sort(key=_newest_first)
        return chosen

    def query(self) -> dict[str, str]:
        """The fields that are set, for links."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}


def parse_filter(given: Mapping[str, str]) -> Filter:
    """Read a filter from a query; raises ``FilterError``."""
    known = {name: given[name].strip() for name in Filter.__struct_fields__ if given.get(name)}
    asked = Filter(**known)
    _check("action", asked.action, tuple(Action))
    _check("scope", asked.scope, SCOPES)
    _check("simulated", asked.simulated, ("yes", "no"))
    if len(asked.text) > _MAX_TEXT:
        raise FilterError(f"text: at most {_MAX_TEXT} characters")
    _ms(asked.since, "since")
    _ms(asked.until, "until")
    return asked


def row_of(value: bytes) -> tuple[Row, Budget | None]:
    """Read a decision record, and the harm budget in it; raises ``msgspec.DecodeError`` for any other."""
    brief = _brief.decode(value)
    row = Row(
        decision_id=brief.decision_id,
        key=f"{brief.scope}:{brief.subject}",
        scope=brief.scope,
        tenant_id=brief.tenant_id,
        action=brief.action,
        is_simulated=brief.simulated,
        origin=brief.origin,
        codes=" ".join(reason.code for reason in brief.reasons),
        campaign_id=brief.campaign_id,
        issued_ms=round(brief.issued_at.timestamp() * 1000),
        expires_ms=round(brief.expires_at.timestamp() * 1000),
        revision=brief.revision,
        value=value,
    )
    return row, brief.harm_budget


def _newest_first(row: Row) -> tuple[int, int]:
    return -row.issued_ms, -row.revision


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value and value not in allowed:
        raise FilterError(f"{name}: {value!r} is none of {', '.join(allowed)}")


def _ms(text: str, name: str) -> int | None:
    if not text:
        return None
    try:
        return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise FilterError(f"{name}: {text!r} is no time such as 2026-11-25T18:40") from None


_brief = msgspec.json.Decoder(_Brief)
_whole = msgspec.json.Decoder(Decision)


def actions_of(rows: Iterable[Row]) -> Actions:
    """What was decided, by minute and since when each subject was denied, as plots want it."""
    found = Actions()
    for row in rows:
        minute = row.issued_ms // 60_000
        found.decided.setdefault(minute, Counter())[row.action] += 1
        found.counts[row.action] += 1
        found.simulated += row.is_simulated
        if row.tenant_id and row.action.severity >= Action.THROTTLE.severity:
            found.denied[row.key] = min(minute, found.denied.get(row.key, minute))
    return found
