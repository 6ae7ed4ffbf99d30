"""Small builders of events and records for tests of the core, and ways to run them."""

from collections.abc import Iterable, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from stream_app.detection.decisions import Decision, Evidence
from stream_app.detection.detector import Detector
from stream_app.detection.effects import DeadLetter, Effect, EmitDecision, ForgetDecision
from stream_app.detection.operators import parse_operator
from stream_app.detection.policy import Policy, load_policy
from stream_app.detection.records import Record

#: 2026-01-01T00:00:00Z, the beginning of a ten-minute block; times in tests are seconds since then.
BEGIN_MS = 1_767_225_600_000

EventFields = dict[str, Any]

POLICY_TEXT = """
version: test-1
mode: enforced
cool_down_s: 120
rungs:
  observe: {enter: 0.999, leave: 0.99, ttl_s: 600, max_ttl_s: 3600}
  throttle: {enter: 0.9999, leave: 0.999, ttl_s: 300, max_ttl_s: 2400}
  block: {enter: 0.999999, leave: 0.9999, ttl_s: 600, max_ttl_s: 3600, after_s: 60}
features:
  requests_10s: {floor: 30, up_to: throttle}
  requests_60s: {floor: 60, up_to: block}
  requests_600s: {floor: 300, up_to: block}
  input_tokens_60s: {floor: 400000, up_to: throttle}
  input_tokens_600s: {floor: 2000000, up_to: throttle}
  output_tokens_60s: {floor: 60000, up_to: throttle}
  output_tokens_600s: {floor: 300000, up_to: throttle}
  errors_60s: {floor: 30, up_to: observe}
  errors_600s: {floor: 100, up_to: observe}
  input_per_request_600s: {floor: 2000, up_to: observe}
  output_per_request_600s: {floor: 1000, up_to: observe}
  errors_percent_600s: {floor: 30, up_to: observe}
  accounts_600s: {floor: 20, up_to: observe}
  model_shift_percent_600s: {floor: 50, up_to: observe}
"""
POLICY = load_policy(POLICY_TEXT, "test")


def policy(**changes: Any) -> Policy:
    """``POLICY`` with some of its fields replaced."""
    return Policy.model_validate(POLICY.model_dump() | changes)


def time_of(time_s: float) -> str:
    """RFC 3339 of a test time."""
    moment = datetime.fromtimestamp(BEGIN_MS / 1000, UTC) + timedelta(seconds=time_s)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(time_s: float, tenant: str = "acme", **fields: Any) -> EventFields:
    """One ordinary request; its id follows from tenant and time."""
    ordinary = {
        "id": f"{tenant}@{time_s}",
        "time": time_of(time_s),
        "tenant_id": tenant,
        "account_id": f"{tenant}-user",
        "model": "small",
        "status_code": 200,
        "input_tokens": 500,
        "output_tokens": 100,
    }
    return ordinary | fields


def steady(
    begin_s: float, end_s: float, per_minute: float, tenant: str = "acme", name: str = "steady", **fields: Any
) -> list[EventFields]:
    """Evenly spaced requests from ``begin_s`` until before ``end_s``."""
    count = round((end_s - begin_s) * per_minute / 60)
    gap_s = 60 / per_minute
    return [
        event(round(begin_s + k * gap_s, 3), tenant, **{"id": f"{tenant}-{name}-{begin_s}-{k}"} | fields)
        for k in range(count)
    ]


def in_order(*streams: Iterable[EventFields]) -> list[EventFields]:
    """Streams merged by event time."""
    return sorted((item for stream in streams for item in stream), key=lambda item: item["time"])


def to_ms(time: str) -> int:
    """Milliseconds since 1970 of an event's time."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def record(offset: int, *events: EventFields, timestamp_ms: int | None = None) -> Record:
    """A record of one event, or of an array of several, that Kafka received a second after the newest of them."""
    if timestamp_ms is None:
        timestamp_ms = max(to_ms(item["time"]) for item in events) + 1000
    return Record(offset, timestamp_ms, orjson.dumps(events[0] if len(events) == 1 else events), {})


def records(events: Iterable[EventFields], first_offset: int = 0) -> list[Record]:
    """One record per event."""
    return [record(offset, item) for offset, item in enumerate(events, first_offset)]


def new_detector(
    policy: Policy = POLICY, encoded: MutableMapping[str, bytes] | None = None, partition: int = 0, partitions: int = 1
) -> Detector:
    """A detector of topic ``requests`` over a mapping of encoded states."""
    return Detector("requests", partition, partitions, policy, {} if encoded is None else encoded)


def run(events: Iterable[EventFields], policy: Policy = POLICY) -> list[Decision]:
    """Decisions of a new detector on events, one record each."""
    return decisions(new_detector(policy).handle(records(events)))


def decisions(effects: Iterable[Effect]) -> list[Decision]:
    """The decisions among effects."""
    return [effect.decision for effect in effects if isinstance(effect, EmitDecision)]


def evidence_of(decision: Decision) -> Evidence:
    """The evidence of a decision that has some."""
    assert decision.evidence
    return decision.evidence


def dead_letters(effects: Iterable[Effect]) -> list[DeadLetter]:
    """The dead letters among effects."""
    return [effect for effect in effects if isinstance(effect, DeadLetter)]


def by_key(effects: Iterable[Effect]) -> dict[str, list[Decision | None]]:
    """What each control topic key is told, in order; ``None`` is a tombstone."""
    told: dict[str, list[Decision | None]] = {}
    for effect in effects:
        if isinstance(effect, EmitDecision):
            told.setdefault(effect.decision.key, []).append(effect.decision)
        elif isinstance(effect, ForgetDecision):
            told.setdefault(effect.key, []).append(None)
    return told


def operator_record(kind: str, at_s: float, **fields: Any) -> bytes:
    """An operator record; ``expires_s`` is a test time."""
    if "expires_s" in fields:
        fields["expires_at"] = time_of(fields.pop("expires_s"))
    word = {"id": f"op-{kind}-{at_s}", "type": kind, "reason": "test", "by": "ann", "at": time_of(at_s)}
    return orjson.dumps(word | fields)


def instruct(detector: Detector, offset: int, value: bytes) -> list[Effect]:
    """Show an operator record to a detector."""
    return detector.instruct("operator", offset, parse_operator(value), value, "operator")


def told_actions(found: Sequence[Decision | None]) -> list[str | None]:
    """Their actions."""
    return [decision.action.value if decision else None for decision in found]
