"""The core of one partition: records in, effects out."""

from collections.abc import Iterable, Iterator, MutableMapping
from itertools import islice

from msgspec import UNSET

from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.closings import close_minutes
from stream_app.detection.decisions import Decision
from stream_app.detection.decode import Rejected, decode_record, owner_of
from stream_app.detection.effects import SAMPLED, DeadLetter, Effect, EmitDecision, Tally
from stream_app.detection.events import Event, is_served
from stream_app.detection.explanations import Cause
from stream_app.detection.growths import gathered_until, sealable_day
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.looks import look, make_first_room
from stream_app.detection.operators import Forget, Instruction, Override, Release, SetPolicy, Watch
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.detection.refusals import refuse_event
from stream_app.detection.state import PARTITION_KEY, PartitionState, decode_partition, encode_partition
from stream_app.detection.tenants import Tenants
from stream_app.detection.watermark import ALLOWED_LATENESS_MS
from stream_app.detection.windows import LONG_MINUTES, MINUTE_MS, PANE_MS
from stream_app.detection.words import Word, tell

#: Closings done per record beside the record's own tenant: more than a record can ever cause (a minute and a block), so
#: that the backlog shrinks while the loop is never held up for long.
_CLOSINGS_PER_RECORD = 4
_OPEN_MINUTES = 3  # a right clock may be so far beyond the last minute that can be closed
_SWEPT_PER_CLOSING = 64  # a look at a sleeping tenant costs a hundredth of a closing


class Detector:
    """Judges the tenants of one partition; (state, policy, records) fix (state', effects).

    ``encoded`` maps tenant ids (and ``PARTITION_KEY``) to encoded states; it is read on demand and written only from
    one checkpoint's beginning to its end. With ``has_campaigns``, which its driver may set, tenants also emit signals.
    Chunk boundaries change nothing but when an effect is returned. Events cost 10 microseconds, active minutes 100.
    """

    def __init__(
        self, topic: str, partition: int, partitions: int, policy: Policy, encoded: MutableMapping[str, bytes]
    ) -> None:
        self._place, self._partition, self._partitions = (topic, partition), partition, partitions
        self.policy = policy
        self.has_campaigns = False
        own = encoded.get(PARTITION_KEY)
        self._encoded = encoded
        self._state = PartitionState() if own is None else decode_partition(own)
        self._closable, self._tenants = -1, Tenants(encoded)
        if self._state.watermark.newest_ms is not None:
            self._set_clock()
        self._snapshot = b""
        self._effects: list[Effect] = []
        self._tally = Tally()

    @property
    def position(self) -> int:
        """Offset of the next record expected."""
        return self._state.position

    @property
    def state(self) -> PartitionState:
        """The partition's own; its driver may set ``journal_position``, and ``position`` when records are lost."""
        return self._state

    def handle(self, records: Iterable[Record]) -> list[Effect]:
        """Apply records in offset order, none of them before ``position``."""
        for record in records:
            items, owner = self._read(record)
            self._take_each(items, range(len(items)), owner, record)
            self._end(record)
        return self._take_effects()

    def handle_long(self, record: Record, most: int) -> Iterator[list[Effect]]:
        """Apply a record of many events, ``most`` at a time; until all are, nothing else may be done here."""
        items, owner = self._read(record)
        for first in range(0, len(items), most):
            self._take_each(items, range(len(items))[first : first + most], owner, record)
            yield self._take_effects()
        self._end(record)
        yield self._take_effects()

    def advance(self, now_ms: int, most: int = 1 << 62) -> list[Effect]:
        """Close up to ``most`` due tenants and sweep more; ``now_ms`` only dates the cause of effects."""
        self._close_due(most, now_ms, self._closable)
        self._tenants.sweep(_SWEPT_PER_CLOSING * most)
        return self._take_effects()

    @property
    def has_due(self) -> bool:
        """Whether ``advance`` has something to do."""
        return self._tenants.schedule.earliest <= self._closable or self._tenants.has_to_sweep

    def is_concerned_by(self, instruction: Instruction | Rejected) -> bool:
        """Whether it has to be shown here at all: what is said of one tenant only in the tenant's partition."""
        tenant_id = getattr(instruction, "tenant_id", None)
        return tenant_id is None or partition_of(tenant_id, self._partitions) == self._partition

    def instruct(
        self, log: str, offset: int, instruction: Instruction | Rejected, original: bytes, topic: str
    ) -> list[Effect]:
        """Take in an instruction by its offset in a log; a repeated one sets the policy, or what is erased, again.

        Those that concern us must come in order. Partition 0 dead-letters what cannot be followed, as from ``topic``.
        """
        is_new = offset > self._state.told.get(log, -1)
        if isinstance(instruction, Forget):
            self._tenants.erased_ms[instruction.tenant_id] = round(instruction.record.at.timestamp() * 1000)
        match instruction:
            case SetPolicy(policy=policy):
                self.policy = policy
                self._tenants.forget_rooms()
            case Override() | Release() | Watch() | Forget() | Verdict():
                if is_new and self.is_concerned_by(instruction):
                    self._tell(instruction)
            case Rejected(reason=reason, detail=detail):
                if is_new and self._partition == 0:
                    self._effects.append(DeadLetter(topic, 0, offset, reason, detail, None, original))
        self._state.told[log] = max(offset, self._state.told.get(log, -1))
        return self._take_effects()

    def obey(self, verdict: Verdict) -> list[Effect]:
        """Take in a campaign's verdict on a tenant of this partition."""
        self._tell(verdict)
        return self._take_effects()

    def begin_checkpoint(self) -> None:
        """Fix the state that the next checkpoint holds; events may go on while it is encoded."""
        self._tenants.begin_snapshot()
        self._snapshot = encode_partition(self._state)

    def encode_checkpoint(self, most: int = 1 << 62) -> dict[str, bytes | None] | None:
        """Encode and store up to ``most`` tenants; once all are, what changed, the partition's own state last."""
        changes = self._tenants.encode_some(most)
        if changes is not None:
            changes[PARTITION_KEY] = self._encoded[PARTITION_KEY] = self._snapshot
        return changes

    def take_changes(self) -> dict[str, bytes | None]:
        """A whole checkpoint at once."""
        self.begin_checkpoint()
        return self.encode_checkpoint() or {}

    def take_tally(self) -> Tally:
        """Counts since the last call."""
        tally, self._tally = self._tally, Tally()
        tally.forgotten, self._tenants.forgotten = self._tenants.forgotten, 0
        return tally

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _read(self, record: Record) -> tuple[list[Event | Rejected], str | None]:
        """What a record holds, and whose it is if the tenant belongs here."""
        items = decode_record(record.value, record.headers)
        owner = first.tenant_id if isinstance(first := items[0], Event) else owner_of(items)
        if owner not in self._tenants.live and partition_of(owner or "", self._partitions) != self._partition:
            owner = None
        return items, owner

    def _take_each(self, items: list[Event | Rejected], places: range, owner: str | None, record: Record) -> None:
        for place in places:
            item = items[place]
            no = self._take(item, owner, record) if isinstance(item, Event) else item
            if no is not None:
                index, original = place if len(items) > 1 else no.index, record.value or b""
                self._tally.rejected += 1
                self._effects.append(DeadLetter(*self._place, record.offset, no.reason, no.detail, index, original))

    def _end(self, record: Record) -> None:
        self._state.position = record.offset + 1
        if self._tenants.schedule.earliest <= self._closable:
            self._close_due(_CLOSINGS_PER_RECORD, record.timestamp_ms, self._closable)

    def _take(self, event: Event, owner: str | None, record: Record) -> Rejected | None:
        """Count an event, and judge its tenant if that is due; or say why it must not be counted."""
        offset, timestamp_ms, _, _ = record
        time_ms, state, tenant_id = round(event.time.timestamp() * 1000), self._state, event.tenant_id
        refused = refuse_event(event, time_ms, owner, timestamp_ms, state.watermark.newest_ms)
        if refused is not None:
            return refused
        self._observe(tenant_id, time_ms)
        tenant = self._tenants.live.get(tenant_id)
        if tenant is None or not tenant.is_changed:
            tenant = self._tenants.wake(tenant_id)
        minute = time_ms // MINUTE_MS
        closable = self._closable if self._closable > minute - LONG_MINUTES else minute - LONG_MINUTES
        if tenant.due <= closable:
            self._close(tenant, closable, timestamp_ms)
        if minute <= closable or minute <= tenant.state.windows.closed_minute:
            tenant.count_late(event, minute, closable)
            self._tenants.schedule.put(tenant_id, tenant.due)
        elif not self._tenants.count(event, tenant, time_ms, offset, state.harm):
            self._tally.repeated += 1
            return None
        elif minute <= self._closable + _OPEN_MINUTES:
            state.services.count(event, minute, len(tenant.pane.ids) == 1)  # type: ignore[union-attr]
        tenant.state.last_offset = offset
        self._tally.applied += 1
        if offset % SAMPLED == 0:
            self._tally.sample(event)
        if self.has_campaigns:
            self._effects += tenant.gather(event, time_ms, self._partition)
        if (time_ms >= tenant.holds_until_ms or tenant.is_room_used()) and is_served(event.status_code):
            self._look(event, tenant, time_ms, record)
        return None

    def _observe(self, tenant_id: str, time_ms: int) -> None:
        """Let the watermark see an event; most are a little older than the newest, and change nothing."""
        watermark, tally = self._state.watermark, self._tally
        newest_ms = watermark.newest_ms
        if newest_ms is not None and time_ms <= newest_ms and not watermark.claims:
            tally.late += time_ms < newest_ms - ALLOWED_LATENESS_MS
            return
        watermark.observe(tenant_id, time_ms)
        if watermark.newest_ms != newest_ms:
            self._set_clock()
        tally.late += time_ms < watermark.time_ms
        tally.newest_event_ms = max(tally.newest_event_ms, time_ms)

    def _set_clock(self) -> None:
        closable = self._state.watermark.time_ms // MINUTE_MS - 1
        if closable == self._closable:
            return
        self._closable = closable
        self._tenants.forget_idle(self._closable)
        if (day := sealable_day(self._closable)) > self._state.population.sealed_day:
            self._close_due(1 << 62, self._state.watermark.time_ms, gathered_until(day))  # whatever was not closed yet
            self._state.seal(day)

    def _look(self, event: Event, tenant: Tenant, time_ms: int, record: Record) -> None:
        if make_first_room(tenant, self.policy):
            return
        newest, due = max(tenant.state.windows.panes, default=time_ms // PANE_MS), tenant.due
        cause = Cause(*self._place, record.offset, time_ms, newest, event.id)
        decision = look(tenant, self.policy, self._state, cause, event.account_id)
        if decision is not None and decision.harm_budget is not UNSET:
            self._tally.withheld += self._state.harm.settle(decision.harm_budget, time_ms)
        self._emit(decision, record.timestamp_ms)
        if tenant.due != due:
            self._tenants.schedule.put(event.tenant_id, tenant.due)

    def _emit(self, decision: Decision | None, cause_ms: int) -> None:
        self._effects += [] if decision is None else [EmitDecision(decision, cause_ms)]

    def _close_due(self, most: int, cause_ms: int, closable: int) -> None:
        for tenant_id in islice(self._tenants.due(closable), most):
            self._close(self._tenants.wake(tenant_id), closable, cause_ms)

    def _close(self, tenant: Tenant, closable: int, cause_ms: int) -> None:
        self._effects += close_minutes(tenant, self.policy, self._state, closable, self._place, cause_ms)
        self._tenants.schedule.put(tenant.tenant_id, tenant.due)

    def _tell(self, word: Word) -> None:
        self._effects += tell(word, self._tenants, self._state, self.policy, self._place)
