"""The same core over files instead of Kafka: what the live detector would have decided."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from time import perf_counter

import msgspec
from msgspec import Struct

from stream_app.detection.campaigns.indicators import Exchange
from stream_app.detection.campaigns.records import Campaign, Status, Verdict
from stream_app.detection.campaigns.stage import TICK_MS, CampaignStage
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.decode import Rejected, decode_record
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, EmitDecision, EmitSignal, Tally
from stream_app.detection.operators import (
    Feedback,
    Forget,
    Instruction,
    JournalEntry,
    Learn,
    ReleaseLink,
    SetPolicy,
    parse_operator,
)
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.detection.watermark import ALLOWED_LATENESS_MS

#: Lines between two looks at progress and pending operator records; any number gives the same decisions.
CHUNK_LINES = 512
#: The log of operator records, and what their dead letters name as their topic.
OPERATOR_LOG = "operator"
#: Files carry no Kafka timestamp, so no event counts as coming from the future.
NO_TIMESTAMP_MS = 1 << 62


class Summary(Struct):
    """Totals of a run (``summary.json``).

    ``decisions`` counts records by action, ``renewals`` those among them that leave their subject where it is.
    """

    events: int = 0
    rejected: int = 0
    late: int = 0
    repeated: int = 0
    tenants: int = 0
    accounts: int = 0
    decisions: dict[str, int] = msgspec.field(default_factory=dict)
    renewals: dict[str, int] = msgspec.field(default_factory=dict)
    campaigns: int = 0
    events_per_s: float = 0.0
    duration_s: float = 0.0
    state_bytes_per_tenant: float = 0.0

    def add(self, tally: Tally) -> None:
        """Count a chunk's events."""
        self.events += tally.applied
        self.rejected += tally.rejected
        self.late += tally.late
        self.repeated += tally.repeated


class _Routing(Struct):
    tenant_id: str


_routing = msgspec.json.Decoder(_Routing | list[_Routing])


class Replay:
    """A run of the core over lines, one detector per partition; offsets are line numbers within the partition.

    Operator records take effect where ``journal`` says, in the order of its entries; without one, at their event time.
    """

    def __init__(
        self,
        policy: Policy,
        partitions: int = 1,
        operator_lines: Sequence[bytes] = (),
        *,
        journal: Sequence[JournalEntry] | None = None,
        topic: str = "replay",
        exchange: Exchange | None = None,
    ) -> None:
        self.states: list[dict[str, bytes]] = [{} for _ in range(partitions)]
        self.detectors = [
            Detector(topic, partition, partitions, policy, self.states[partition]) for partition in range(partitions)
        ]
        for detector in self.detectors:
            detector.has_campaigns = True
        self._stage = CampaignStage()
        self._stage.adopt(policy)
        self._stage.exchange = exchange
        self._ticked_ms = 0
        self._told_stage = -1
        self.summary = Summary()
        self._places: dict[tuple[str, str], tuple[Action, bool]] = {}
        self._offsets = [0] * partitions
        self._operator = [(offset, parse_operator(line), line) for offset, line in enumerate(operator_lines)]
        self._pending = [] if journal is not None else list(self._operator)
        self._journals = [
            deque(entry for entry in journal or () if entry.partition == number) for number in range(partitions)
        ]
        self._newest_ms = 0

    def run(self, values: Iterable[bytes]) -> Iterator[Effect]:
        """Apply all record values in order, yielding effects as they arise; ``summary`` is complete afterwards."""
        started = perf_counter()
        lines = iter(values)
        while True:
            chunk = list(islice(lines, 1 if self._pending else CHUNK_LINES))
            if not chunk:
                break
            yield from self._noting(self._campaigning(self._handle(chunk)))
        for partition, detector in enumerate(self.detectors):
            yield from self._noting(self._follow_journal(partition, self._offsets[partition]))
            yield from self._noting(self._campaigning(detector.advance(NO_TIMESTAMP_MS)))
        if self._newest_ms:
            yield from self._noting(self._obeyed(self._stage.look(self._newest_ms + TICK_MS)))
        self._finish(perf_counter() - started)

    @property
    def campaigns(self) -> list[Campaign]:
        """Campaigns that were reported so far, candidates included."""
        return self._stage.campaigns

    @property
    def newest_ms(self) -> int:
        """Event time of the newest event so far, 0 before the first."""
        return self._newest_ms

    def _campaigning(self, effects: Iterable[Effect]) -> Iterator[Effect]:
        """Hand signals to the campaign stage, have it tick when time has come, and its verdicts obeyed.

        A tick takes the signals that ended by its time, once no partition can bring others within the lateness.
        """
        arrived: list[Verdict] = []
        for effect in effects:
            if isinstance(effect, EmitSignal):
                arrived += self._stage.take(effect.signal)
            else:
                yield effect
        yield from self._obeyed(arrived)
        last_ms = (self._newest_ms - ALLOWED_LATENESS_MS) // TICK_MS * TICK_MS
        if last_ms > self._ticked_ms:
            self._ticked_ms = last_ms
            yield from self._obeyed(self._stage.tick(last_ms))

    def _obeyed(self, verdicts: Iterable[Verdict]) -> Iterator[Effect]:
        for verdict in verdicts:
            detector = self.detectors[partition_of(verdict.tenant_id, len(self.detectors))]
            yield from detector.obey(verdict)
        for made in self._stage.take_link_decisions():
            yield EmitDecision(made, self._newest_ms) if isinstance(made, Decision) else made

    def _handle(self, chunk: Sequence[bytes]) -> Iterator[Effect]:
        for partition, values in self._by_partition(chunk).items():
            first = self._offsets[partition]
            self._offsets[partition] += len(values)
            records = [Record(offset, NO_TIMESTAMP_MS, value, {}) for offset, value in enumerate(values, first)]
            yield from self._apply(partition, records)
            tally = self.detectors[partition].take_tally()
            self.summary.add(tally)
            self._newest_ms = max(self._newest_ms, tally.newest_event_ms)
        yield from self._instruct()

    def _apply(self, partition: int, records: list[Record]) -> Iterator[Effect]:
        handle, journal = self.detectors[partition].handle, self._journals[partition]
        first, end = records[0].offset, records[-1].offset + 1
        while journal and journal[0].applied_after_offset + 1 < end:
            place = max(journal[0].applied_after_offset + 1, first)
            yield from handle(records[: place - first])
            records, first = records[place - first :], place
            yield from self._follow_journal(partition, place)
        yield from handle(records)

    def _follow_journal(self, partition: int, position: int) -> Iterator[Effect]:
        """What took effect before the record at ``position`` was applied."""
        journal = self._journals[partition]
        while journal and journal[0].applied_after_offset < position:
            place = journal.popleft()
            yield from self._tell_stage(place.offset, self._operator[place.offset][1])
            yield from self.detectors[partition].instruct(OPERATOR_LOG, *self._operator[place.offset], OPERATOR_LOG)

    def _by_partition(self, chunk: Sequence[bytes]) -> Mapping[int, Sequence[bytes]]:
        if len(self.detectors) == 1:
            return {0: chunk}
        found: dict[int, list[bytes]] = {}
        for value in chunk:
            found.setdefault(self._partition_of(value), []).append(value)
        return found

    def _partition_of(self, value: bytes) -> int:
        try:
            routing = _routing.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._partition_of_any(value)
        first = routing[0] if isinstance(routing, list) and routing else routing
        return partition_of(first.tenant_id, len(self.detectors)) if isinstance(first, _Routing) else 0

    def _partition_of_any(self, value: bytes) -> int:
        good = (item for item in decode_record(value, {}) if not isinstance(item, Rejected))
        return next((partition_of(event.tenant_id, len(self.detectors)) for event in good), 0)

    def _instruct(self) -> Iterator[Effect]:
        while self._pending and _at_ms(self._pending[0][1]) <= self._newest_ms:
            offset, instruction, original = self._pending.pop(0)
            yield from self._tell_stage(offset, instruction)
            for detector in self.detectors:
                yield from detector.instruct(OPERATOR_LOG, offset, instruction, original, OPERATOR_LOG)

    def _tell_stage(self, offset: int, instruction: Instruction | Rejected) -> Iterator[Effect]:
        """What concerns campaigns takes effect once, where the first partition met it."""
        if offset <= self._told_stage:
            return
        self._told_stage = offset
        if isinstance(instruction, SetPolicy):
            self._stage.adopt(instruction.policy)
        elif isinstance(instruction, Forget):
            self._stage.forget(instruction.tenant_id)
        elif isinstance(instruction, Feedback | ReleaseLink):
            yield from self._obeyed(self._stage.hear(instruction, self._newest_ms) or ())
        elif isinstance(instruction, Learn):
            self._stage.learn(instruction.indicators)

    def _noting(self, effects: Iterable[Effect]) -> Iterator[Effect]:
        for effect in effects:
            if isinstance(effect, EmitDecision):
                self._count(effect.decision)
            yield effect

    def _count(self, decision: Decision) -> None:
        action, subject = decision.action.value, (decision.scope, decision.subject)
        place = (decision.action, decision.simulated)
        self.summary.decisions[action] = self.summary.decisions.get(action, 0) + 1
        if decision.action is not Action.ALLOW and self._places.get(subject) == place:
            self.summary.renewals[action] = self.summary.renewals.get(action, 0) + 1
        self._places[subject] = place

    def _finish(self, duration_s: float) -> None:
        summary = self.summary
        for detector in self.detectors:
            detector.take_changes()
        summary.tenants = sum(len(state) - 1 for state in self.states)
        stored = sum(len(encoded) for state in self.states for encoded in state.values())
        summary.state_bytes_per_tenant = round(stored / max(summary.tenants, 1), 1)
        summary.campaigns = sum(campaign.status is Status.CONFIRMED for campaign in self.campaigns)
        summary.duration_s = round(duration_s, 3)
        summary.events_per_s = round(summary.events / duration_s, 1) if duration_s else 0.0


def _at_ms(instruction: Instruction | Rejected) -> float:
    record = getattr(instruction, "record", None)
    return 0.0 if record is None else float(record.at.timestamp() * 1000)
