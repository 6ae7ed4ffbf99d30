"""The detector's core over a stream that reacts: what its decisions deny is answered 429, and some clients give up.

The same limiter as in operation stands before the made-up service and obeys every decision at once.
"""

from collections.abc import Iterator
from time import process_time

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry

from benchmarks.quality.streams import Stream, batches, event_json
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, EmitDecision, ForgetDecision
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.detection.state import PARTITION_KEY
from stream_app.limiter.checks import Limiter, RequestFacts
from stream_app.limiter.decisions_table import DecisionsTable

#: Events between two checkpoints: sleeping tenants become bytes, as in operation.
_CHECKPOINT_EVENTS = 50_000
#: After the last event everything may close.
_END_MS = 1 << 62


class Told(Struct, frozen=True):
    """A decision, the tenant's place in the stream, and when the detector gave it (arrival of the event it was at).

    ``is_entry``: the subject reached a rung above the one it stood on.
    """

    tenant: int
    at_ms: int
    scope: str
    subject: str
    action: Action
    is_entry: bool
    reasons: tuple[str, ...]


class Judged(Struct):
    """What the detector made of a stream.

    ``denied`` counts per tenant what the decisions denied, ``given_up_ms`` says who stopped for that, and when.
    """

    told: list[Told]
    denied: list[int]
    given_up_ms: dict[int, int]
    events: int
    rejected: int
    cpu_s: float
    state_bytes: list[int]


class _Loop:
    def __init__(self, stream: Stream, policy: Policy) -> None:
        self.stream = stream
        self.encoded: dict[str, bytes] = {}
        self.detector = Detector("quality", 0, 1, policy, self.encoded)
        self.table = DecisionsTable()
        self.now_ms = 0
        self.limiter = Limiter(
            self.table, CollectorRegistry(), clock=lambda: self.now_ms / 1000, max_age_s=float("inf")
        )
        self.table.mark_complete(0)
        self.places = {tenant.tenant_id: place for place, tenant in enumerate(stream.tenants)}
        self.decided: set[int] = set()
        self.rungs: dict[str, Action] = {}
        self.judged = Judged([], [0] * len(stream.tenants), {}, 0, 0, 0.0, [])

    def is_denied(self, place: int, account: int, tokens: int) -> bool:
        tenant = self.stream.tenants[place]
        facts = RequestFacts(tenant.tenant_id, tenant.callers[account].account_id, tokens=tokens)
        if self.limiter.check(facts).allowed:
            return False
        self.judged.denied[place] += 1
        if tenant.patience_ms is not None:
            self.judged.given_up_ms.setdefault(place, self.now_ms + tenant.patience_ms)
        return True

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case EmitDecision(decision=decision):
                    self._obey(decision)
                case ForgetDecision(key=key):
                    self.table.apply(key.encode(), None, self.now_ms)
                    self.rungs.pop(key, None)
                case _:
                    self.judged.rejected += 1

    def _obey(self, decision: Decision) -> None:
        self.table.apply(decision.key.encode(), msgspec.json.encode(decision), self.now_ms)
        place = self.places[decision.tenant_id]
        self.decided.add(place)
        before = self.rungs.get(decision.key, Action.ALLOW)
        self.rungs[decision.key] = decision.action
        self.judged.told.append(
            Told(
                tenant=place,
                at_ms=self.now_ms,
                scope=decision.scope,
                subject=decision.subject,
                action=decision.action,
                is_entry=decision.action.severity > before.severity,
                reasons=tuple(reason.code for reason in decision.reasons),
            )
        )


def judge(stream: Stream, policy: Policy) -> Iterator[Judged]:
    """Run the core over a stream event by event; yields now and then while it goes on, at last with all of it."""
    loop = _Loop(stream, policy)
    judged, handle = loop.judged, loop.detector.handle
    number = 0
    for rows, times in batches(stream.rows):
        started = process_time()
        for row, time in zip(rows, times, strict=True):
            place, now_ms = row[2], row[1]
            loop.now_ms = now_ms
            if row[8] and judged.given_up_ms.get(place, _END_MS) < now_ms:
                continue
            is_denied = place in loop.decided and loop.is_denied(place, row[3], row[5] + row[6])
            value = event_json(stream.tenants[place], row, number, time, is_denied=is_denied)
            if effects := handle((Record(number, now_ms, value, {}),)):
                loop.take(effects)
            number += 1
        judged.cpu_s += process_time() - started
        judged.events = number
        if number // _CHECKPOINT_EVENTS != (number - len(rows)) // _CHECKPOINT_EVENTS:
            loop.detector.take_changes()
        yield judged
    loop.now_ms = stream.end_ms
    loop.take(loop.detector.advance(stream.end_ms))
    loop.detector.take_changes()
    judged.state_bytes = [len(value) for key, value in loop.encoded.items() if key != PARTITION_KEY]
    yield judged
