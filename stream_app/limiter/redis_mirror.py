"""Decisions in Redis, one key a subject, for gateways that look there.

``stillwatch:decision:KEY`` (KEY as on the control topic) holds ``{"action", "reason", "decision_id", "by_operator",
"expires_ms"}`` and, for a throttle, ``"requests_per_minute"`` and ``"tokens_per_minute"``, as JSON. Redis itself
drops it at its expiry. Redis 6.2 or newer, one server with its replicas.
"""

import uuid
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import orjson
import redis

from stream_app.limiter.decisions_table import KnownDecision
from stream_app.limiter.mirrors import MirrorError

PREFIX = "stillwatch:decision:"
#: One of these per mirror tells that the server was not emptied.
MARKER_PREFIX = "stillwatch:mirror:"
#: A marker outlives its mirror's silence by this; only the mirror itself asks for it.
MARKER_S = 3_600

#: Commands to a round trip: some 200 kB.
BATCH = 1_000
#: A server that has not answered by then counts as lost.
TIMEOUT_S = 5.0


class RedisMirror:
    """A ``Target`` of ``Mirror``; two may write the same server, since they write the same."""

    name = "redis"

    def __init__(self, url: str, password: str | None = None) -> None:
        """Connects at the first call. Raises ``ValueError`` for an address that cannot be read."""
        given: dict[str, Any] = {} if password is None else {"password": password}
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True, **given
        )
        self._marker = MARKER_PREFIX + uuid.uuid4().hex

    def holds_ours(self) -> bool:
        """Whether our marker is still there; renews it."""
        try:
            return bool(self._redis.expire(self._marker, MARKER_S))
        except redis.RedisError as error:
            raise MirrorError(_line(error)) from error

    def replace(self, decisions: Mapping[str, KnownDecision]) -> None:
        """Write all, then delete what is none of them; the keyspace is scanned, not blocked."""
        try:
            self._change(decisions.items())
            found = self._redis.scan_iter(match=f"{PREFIX}*", count=BATCH)
            self._change((key, None) for key in (name.removeprefix(PREFIX) for name in found) if key not in decisions)
            self._redis.set(self._marker, "", ex=MARKER_S)
        except redis.RedisError as error:
            raise MirrorError(_line(error)) from error

    def change(self, decisions: Mapping[str, KnownDecision | None]) -> None:
        """One command a subject: whoever reads sees the old decision or the new one."""
        try:
            self._change(decisions.items())
        except redis.RedisError as error:
            raise MirrorError(_line(error)) from error

    def _change(self, decisions: Iterable[tuple[str, KnownDecision | None]]) -> None:
        rest = iter(decisions)
        while batch := list(islice(rest, BATCH)):
            pipeline = self._redis.pipeline(transaction=False)
            for key, decision in batch:
                if decision is None:
                    pipeline.delete(PREFIX + key)
                else:
                    pipeline.set(PREFIX + key, _encoded(decision), pxat=decision.expires_ms)
            pipeline.execute()


def _encoded(decision: KnownDecision) -> bytes:
    requests, tokens = decision.throttle.requests, decision.throttle.tokens
    value: dict[str, Any] = {
        "action": decision.action,
        "reason": decision.reason_code,
        "decision_id": decision.decision_id,
        "by_operator": decision.is_operators,
        "expires_ms": decision.expires_ms,
    }
    if requests:
        value["requests_per_minute"] = requests.per_minute
    if tokens:
        value["tokens_per_minute"] = tokens.per_minute
    return orjson.dumps(value)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
