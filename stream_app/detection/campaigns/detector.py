"""The campaign stage as the driver of a partition runs it: records of signals in, campaigns and verdicts out."""

from collections.abc import Iterable, Iterator, MutableMapping

import msgspec

from stream_app.detection.campaigns.entries import changed_entries, entries_of
from stream_app.detection.campaigns.indicators import Exchange
from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.campaigns.stage import TICK_MS, CampaignStage
from stream_app.detection.campaigns.states import (
    StageState,
    encode_memory,
    encode_state,
    encode_tenant_part,
    restore,
    tenant_key,
)
from stream_app.detection.decisions import Decision
from stream_app.detection.decode import Rejected, RejectReason
from stream_app.detection.effects import DeadLetter, Effect, EmitCampaign, EmitDecision, EmitVerdict, Tally
from stream_app.detection.operators import Feedback, Forget, Instruction, Learn, ReleaseLink, SetPolicy
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.detection.signals import Signal
from stream_app.detection.state import PARTITION_KEY
from stream_app.detection.watermark import ALLOWED_LATENESS_MS

#: A partition without signals for so long (event time) holds no tick back.
_SILENT_MS = 60_000

#: Verdicts that a person's word ends are numbered from this on, times the word's place: behind those of any signal.
_SPOKEN = 1 << 24
_UNKNOWN = (RejectReason.INVALID, "no such campaign, or nothing holds of that value")

_signal = msgspec.json.Decoder(Signal)


class CampaignDetector:
    """The calls of ``Detector`` around a ``CampaignStage``; (state, policy, signals) fix (state', effects).

    A tick's place among the signals follows from these alone. A tick takes seconds, and so then does ``handle``: off
    the event loop, with no other call meanwhile.
    """

    has_due = False

    def __init__(
        self,
        topic: str,
        partition: int,
        policy: Policy,
        encoded: MutableMapping[str, bytes],
        exchange: Exchange | None = None,
    ) -> None:
        self._place = (topic, partition)
        self._encoded = encoded
        self.stage = CampaignStage()
        self.stage.adopt(policy)
        self.stage.exchange = exchange
        self._state, self._seen = restore(self.stage, encoded)
        self._changed: set[str] = set()
        self._is_memory_changed = self._has_to_store_memory = False
        self._encoding: list[str] | None = None
        self._waiting: dict[str, list[Signal]] = {}
        self._changes: dict[str, bytes | None] = {}
        self._snapshot = b""
        self._tally = Tally()
        self._erased_ms: dict[str, int] = {}

    @property
    def position(self) -> int:
        """Offset of the next record expected."""
        return self._state.position

    @property
    def state(self) -> StageState:
        """The partition's own; its driver may set ``journal_position``, and ``position`` when records are lost."""
        return self._state

    def handle(self, records: Iterable[Record]) -> list[Effect]:
        """Apply records in offset order, none of them before ``position``."""
        self._encode_some(1 << 62)  # a checkpoint holds what was before these records
        effects: list[Effect] = []
        for record in records:
            effects += self._apply(record)
        return effects

    def advance(self, now_ms: int, most: int = 1 << 62) -> list[Effect]:
        """Nothing: only signals bring ticks."""
        del now_ms, most
        return []

    def is_concerned_by(self, instruction: Instruction | Rejected) -> bool:
        """Policies, which hold the harm budget of campaigns, what people say, erasures, partners' indicators."""
        return isinstance(instruction, SetPolicy | Feedback | ReleaseLink | Forget | Learn)

    def instruct(
        self, log: str, offset: int, instruction: Instruction | Rejected, original: bytes, topic: str
    ) -> list[Effect]:
        """Take in an instruction by its offset in a log; the tenant stage dead-letters what cannot be understood."""
        effects: list[Effect] = []
        is_new = offset > self._state.told.get(log, -1)
        match instruction:
            case SetPolicy(policy=policy):
                self.stage.adopt(policy)
            case Forget(record=record, tenant_id=tenant_id):
                self._erased_ms[tenant_id] = round(record.at.timestamp() * 1000)
                if is_new:
                    effects += self._erase(tenant_id)
            case Feedback() | ReleaseLink() if is_new:
                effects = self._hear(instruction, DeadLetter(topic, 0, offset, *_UNKNOWN, None, original))
            case Learn(indicators=indicators) if is_new:
                self._encode_some(1 << 62)  # a checkpoint holds what was before
                self.stage.learn(indicators)
                self._is_memory_changed = True
        self._state.told[log] = max(offset, self._state.told.get(log, -1))
        return effects

    def _hear(self, word: Feedback | ReleaseLink, refusal: DeadLetter) -> list[Effect]:
        self._encode_some(1 << 62)  # a checkpoint holds what was before this word
        before = entries_of(self.stage.campaigns)
        ended = self.stage.hear(word, self._state.newest_ms)
        if ended is None:
            return [refusal]
        self._is_memory_changed = True
        effects: list[Effect] = []
        for number, verdict in enumerate(ended, _SPOKEN * (refusal.offset + 1)):
            self._changed.add(verdict.tenant_id)
            effects.append(EmitVerdict(verdict, self._state.position - 1, number))
        effects += self._link_decisions(round(word.record.at.timestamp() * 1000))
        after = entries_of(self.stage.campaigns)
        return effects + [EmitCampaign(*changed) for changed in changed_entries(before, after)]

    def begin_checkpoint(self) -> None:
        """Fix what the next checkpoint holds."""
        self._encoding, self._changed = sorted(self._changed), set()
        self._waiting = {}
        for signal in self.stage.waiting:
            self._waiting.setdefault(signal.tenant_id, []).append(signal)
        self._has_to_store_memory, self._is_memory_changed = self._is_memory_changed, False
        self._snapshot = encode_state(self._state)

    def encode_checkpoint(self, most: int = 1 << 62) -> dict[str, bytes | None] | None:
        """Encode and store up to ``most`` tenants; once it is complete, what changed since the checkpoint before."""
        self._encode_some(most)
        if self._encoding:
            return None
        changes, self._changes, self._encoding = self._changes, {}, None
        changes[PARTITION_KEY] = self._snapshot
        for key, value in changes.items():
            if value is None:
                self._encoded.pop(key, None)
            else:
                self._encoded[key] = value
        return changes

    def take_tally(self) -> Tally:
        """Counts since the last call."""
        tally, self._tally = self._tally, Tally()
        return tally

    def _apply(self, record: Record) -> Iterator[Effect]:
        self._state.position = record.offset + 1
        try:
            signal = _signal.decode(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._tally.rejected += 1
            detail = str(error) or "nested too deeply"
            yield DeadLetter(*self._place, record.offset, RejectReason.INVALID, detail, None, record.value or b"")
            return
        verdicts = self._take(signal)
        for now_ms in self._due_tick():
            yield from self._tick(now_ms, verdicts)
            yield from self._link_decisions(record.timestamp_ms)
        for number, verdict in enumerate(verdicts):
            self._changed.add(verdict.tenant_id)
            yield EmitVerdict(verdict, record.offset, number)

    def _erase(self, tenant_id: str) -> Iterator[Effect]:
        self._encode_some(1 << 62)  # a checkpoint holds what was before
        before, known = entries_of(self.stage.campaigns), self.stage.profiles.tenant_ids
        self.stage.forget(tenant_id)
        if self.stage.profiles.tenant_ids is not known:
            self._changed |= {*known, *self.stage.profiles.tenant_ids}  # rows have moved
        self._changed.add(tenant_id)
        self._seen.pop(tenant_id, None)
        self._is_memory_changed = True
        for clock in self._state.clocks.values():
            clock.claims.pop(tenant_id, None)
        for key, entry in changed_entries(before, entries_of(self.stage.campaigns)):
            yield EmitCampaign(key, entry)

    def _take(self, signal: Signal) -> list[Verdict]:
        """Hand a signal on, unless its worker has repeated it after a crash, or its tenant was erased after it."""
        sequence, pane_end_ms = self._seen.get(signal.tenant_id, (-1, -1))
        is_known = signal.sequence <= sequence and signal.pane_end_ms <= pane_end_ms
        if is_known or signal.pane_end_ms <= self._erased_ms.get(signal.tenant_id, -1):
            self._tally.repeated += 1
            return []
        self._tally.applied += 1
        self._tally.newest_event_ms = max(self._tally.newest_event_ms, signal.pane_end_ms)
        self._seen[signal.tenant_id] = (signal.sequence, signal.pane_end_ms)
        self._changed.add(signal.tenant_id)
        self._state.clock(signal.partition).observe(signal.tenant_id, signal.pane_end_ms)
        return self.stage.take(signal)

    def _due_tick(self) -> Iterator[int]:
        """The newest tick that every partition has passed, except silent ones; older ones are left out."""
        times_ms = [clock.newest_ms for clock in self._state.clocks.values() if clock.newest_ms is not None]
        passed_ms = min((time_ms for time_ms in times_ms if time_ms >= self._state.newest_ms - _SILENT_MS), default=0)
        due_ms = (passed_ms - ALLOWED_LATENESS_MS) // TICK_MS * TICK_MS
        if due_ms > self._state.ticked_ms:
            self._state.ticked_ms = due_ms
            yield due_ms

    def _tick(self, now_ms: int, verdicts: list[Verdict]) -> Iterator[Effect]:
        before, known = entries_of(self.stage.campaigns), self.stage.profiles.tenant_ids
        self._changed |= {signal.tenant_id for signal in self.stage.waiting if signal.pane_end_ms <= now_ms}
        verdicts += self.stage.tick(now_ms)
        if self.stage.profiles.tenant_ids is not known:
            self._forget(known)
        self._is_memory_changed = True
        self._tally.ticks += 1
        self._tally.campaigns = len(self.stage.campaigns)
        for key, entry in changed_entries(before, entries_of(self.stage.campaigns)):
            yield EmitCampaign(key, entry)

    def _forget(self, known: list[str]) -> None:
        """Rows have moved: all tenants are stored anew, and those that are gone no more."""
        self._changed |= {*known, *self.stage.profiles.tenant_ids}
        needed = self.stage.profiles.rows.keys() | self.stage.told.keys()
        needed |= {signal.tenant_id for signal in self.stage.waiting}
        for tenant_id in set(known) - needed:
            del self._seen[tenant_id]

    def _link_decisions(self, cause_ms: int) -> Iterator[Effect]:
        for made in self.stage.take_link_decisions():
            yield EmitDecision(made, cause_ms) if isinstance(made, Decision) else made

    def _encode_some(self, most: int) -> None:
        if self._encoding is None:
            return
        part, self._encoding = self._encoding[:most], self._encoding[most:]
        for tenant_id in part:
            self._changes[tenant_key(tenant_id)] = self._tenant_part(tenant_id)
        if not self._encoding and self._has_to_store_memory:
            self._has_to_store_memory = False
            self._changes |= encode_memory(self.stage.memory, self._encoded)

    def _tenant_part(self, tenant_id: str) -> bytes | None:
        if tenant_id not in self._seen:
            return None
        return encode_tenant_part(self.stage, tenant_id, self._seen[tenant_id], self._waiting.get(tenant_id, []))
