"""Who was erased, and what readers of logs leave out because of it until retention deletes it."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from stream_app.detection.decisions import split_key
from stream_app.detection.operators import Forget, parse_operator
from stream_app.topology import TopicName

_DECISIONS = {TopicName.DECISIONS, TopicName.DECISION_LOG}
_CAMPAIGNS = {TopicName.CAMPAIGNS, TopicName.CAMPAIGN_LOG}
_BY_TENANT = {TopicName.REQUESTS, TopicName.SIGNALS, TopicName.VERDICTS}


class _Dated(Struct, frozen=True):
    """When a decision was issued, a member joined, or a request ended, though it was written later."""

    time: datetime | None = None
    issued_at: datetime | None = None
    joined_at: datetime | None = None


_dated = msgspec.json.Decoder(_Dated)


class Erasures:
    """What ``forget`` records of the operator topic ask for: nothing of a tenant from before its erasure is shown.

    What happens afterwards, because the tenant still sends requests, is shown again.
    """

    def __init__(self, operator_values: Iterable[bytes | None]) -> None:
        instructions = map(parse_operator, operator_values)
        self._at_ms = {word.tenant_id: _to_ms(word.record.at) for word in instructions if isinstance(word, Forget)}

    def hides(self, name: TopicName, key: bytes | None, value: bytes | None, timestamp_ms: int) -> bool:
        """Whether a record of one of our topics is about an erased tenant's past; a tombstone is not."""
        if not self._at_ms or key is None or value is None:
            return False
        tenant_id = _tenant_of(name, key.decode(errors="replace"))
        if tenant_id is None or tenant_id not in self._at_ms:
            return False
        return self.hides_tenant(tenant_id, min(timestamp_ms, _time_ms(value, timestamp_ms)))

    def hides_tenant(self, tenant_id: str, time_ms: int) -> bool:
        """Whether something of that time about a tenant is left out."""
        return time_ms <= self._at_ms.get(tenant_id, -1)


def _tenant_of(name: TopicName, key: str) -> str | None:
    if name in _BY_TENANT:
        return key
    if name in _CAMPAIGNS:
        return key.partition("/")[2] or None
    if name not in _DECISIONS:
        return None
    try:
        scope, parts = split_key(key)
    except ValueError:
        return None
    return parts[0] if scope in {"tenant", "account"} else None


def _time_ms(value: bytes, timestamp_ms: int) -> int:
    try:
        dated = _dated.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return timestamp_ms
    time = dated.issued_at or dated.joined_at or dated.time
    return timestamp_ms if time is None else _to_ms(time)


def _to_ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
