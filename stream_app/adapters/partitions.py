"""One owned partition: chunks and operator records in, effects and checkpoints out."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from stream_app.adapters.instruction_logs import InstructionEntry, InstructionLog
from stream_app.adapters.journals import journal_record
from stream_app.adapters.outboxes import Checkpoint, Outbox
from stream_app.adapters.slices import LONG_BYTES, LONG_EVENTS, slices_of
from stream_app.adapters.sources import Chunk, SourceReader
from stream_app.adapters.takeovers import TakenOver
from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, Tally
from stream_app.detection.operators import JournalEntry
from stream_app.detection.records import Record
from stream_app.metrics import Metrics

_log = logging.getLogger(__name__)

#: A crash repeats at most this much work; each checkpoint encodes every tenant that changed since the last.
CHECKPOINT_S = 3.0
#: Closings and encodings done in one slice: some milliseconds, so that nothing waits long for the loop.
_CLOSINGS, _ENCODINGS = 32, 128
#: Work after which other tasks of the loop have their turn; a turn costs what a few events do.
_WORK_S = 0.005
#: Shares of the pause between checkpoints by which a partition's differ from the one's before: the golden ratio spreads
#: any run of partitions. Together their transactions would hold up one another, and the decisions behind them.
_STAGGER = 0.618


#: Told of the campaign stage when its partition is taken over and after each tick; of nothing when it is given up.
OnCampaigns = Callable[[CampaignStage | None], None]


class OwnedPartition:
    """Applies chunks in their order, instructions where the journal has them, and makes checkpoints.

    The state in the changelog is always that of one source position: what a crash undoes is repeated from there, and
    gives the same decisions under the same ids.
    """

    def __init__(
        self,
        taken: TakenOver,
        logs: Sequence[InstructionLog],
        outbox: Outbox,
        reader: SourceReader,
        *,
        metrics: Metrics,
        on_campaigns: OnCampaigns,
    ) -> None:
        self.number = taken.number
        self._taken = taken
        self.detector = taken.detector
        self._logs = {log.name: log for log in logs}
        self.outbox = outbox
        self._reader = reader
        self._metrics = metrics
        self._on_campaigns = on_campaigns
        self._journal = deque(entry for entry in taken.journal if entry.offset > self._told(entry.log))
        self._looked = {log.name: self._told(log.name) for log in logs}
        self._turn = asyncio.Lock()
        self._is_rewinding = False
        self._is_away = False
        self._has_news = False
        self._checkpoint: Checkpoint | None = None
        self._began_s = time.monotonic() - CHECKPOINT_S * (self.number * _STAGGER % 1)
        for log in logs:
            told = log.check(self.number, self._told(log.name))
            for entry in log.entries:
                if entry.offset <= told:
                    self._follow(log, entry)
        self._show_campaigns()

    @property
    def checkpoint_age_s(self) -> float:
        """Since the last checkpoint was begun; 0 while nothing has changed and it is committed."""
        is_waiting = self._has_news or self._checkpoint is not None or self.outbox.has_checkpoint
        return time.monotonic() - self._began_s if is_waiting else 0.0

    @property
    def position(self) -> int:
        """Offset of the next source record expected."""
        return self.detector.position

    @property
    def checkpointed(self) -> int | None:
        """Source position of the last checkpoint committed since the takeover."""
        return self.outbox.position

    async def apply(self, chunk: Chunk) -> None:
        """Apply a chunk; one that begins too late is read again, and what is older than our position is dropped."""
        async with self._turn:
            if chunk.start > self.position:
                self._rewind(chunk)
                return
            self._is_rewinding = False
            if chunk.lost:
                self._skip(chunk)
            turn_s = time.monotonic()
            for slice_ in slices_of(chunk.records, self.position):
                await self._replay(slice_)
                if time.monotonic() - turn_s > _WORK_S:
                    await asyncio.sleep(0)
                    turn_s = time.monotonic()
            await asyncio.sleep(0)
            await self._instruct_pending()
        await self.outbox.wait_for_room()

    def _rewind(self, chunk: Chunk) -> None:
        if not self._is_rewinding:
            self._is_rewinding = True
            _log.warning("partition %d: got %d instead of %d, reading again", self.number, chunk.start, self.position)
            self._metrics.rewinds.inc()
            self._reader.assign(self.number, self.position)

    def _skip(self, chunk: Chunk) -> None:
        _log.error("partition %d: the log begins at %d, %d records are lost", self.number, chunk.end, chunk.lost)
        self._metrics.missed.inc(chunk.lost)
        self.detector.state.position = chunk.end

    async def _replay(self, records: list[Record]) -> None:
        """Apply records, and between them what took effect there according to the journal."""
        while self._journal:
            after = self._journal[0].applied_after_offset
            part = [record for record in records if record.offset <= after]
            records = records[len(part) :]
            await self._apply(part)
            if self.position <= after and not records:
                return
            self._follow_place(self._journal.popleft())
        await self._apply(records)

    async def _apply(self, records: Sequence[Record]) -> None:
        if not records:
            return
        if isinstance(self.detector, Detector):
            if len(records) == 1 and len(records[0].value or b"") > LONG_BYTES:
                await self._apply_long(self.detector, records[0])
            else:
                self._emit(self.detector.handle(records), records[0].timestamp_ms)
            return
        began_s, self._is_away = time.monotonic(), True
        try:
            effects, tally = await asyncio.to_thread(self._handle, records)
        finally:
            self._is_away = False
        if tally.ticks:
            self._metrics.campaigns.tick_seconds.observe(time.monotonic() - began_s)
            self._show_campaigns()
        self._has_news = True
        self.outbox.add(effects, tally, records[0].timestamp_ms)

    async def _apply_long(self, detector: Detector, record: Record) -> None:
        """A record of very many events, the loop having its turn in between; stopped in it, the state is none."""
        self._is_away = True
        for effects in detector.handle_long(record, LONG_EVENTS):
            self._emit(effects, record.timestamp_ms)
            await asyncio.sleep(0)
        self._is_away = False

    def _show_campaigns(self) -> None:
        if isinstance(self.detector, CampaignDetector):
            self._on_campaigns(self.detector.stage)

    def _handle(self, records: Sequence[Record]) -> tuple[list[Effect], Tally]:
        return self.detector.handle(records), self.detector.take_tally()

    def _told(self, log: str) -> int:
        return self.detector.state.told.get(log, -1)

    def _follow_place(self, place: JournalEntry) -> None:
        log = self._logs[place.log]
        if entry := log.entry(place.offset):
            self._follow(log, entry)

    def _follow(self, log: InstructionLog, entry: InstructionEntry) -> None:
        self._emit(self.detector.instruct(log.name, entry.offset, entry.instruction, entry.original, log.topic))

    def _emit(self, effects: list[Effect], caused_ms: int | None = None) -> None:
        self._has_news = True
        self.outbox.add(effects, self.detector.take_tally(), caused_ms)

    async def instruct(self) -> None:
        """Take in the instructions that have come."""
        async with self._turn:
            await self._instruct_pending()

    async def _instruct_pending(self) -> None:
        """Instructions without a place get this one, in the journal first; not before those that have one."""
        if self._journal:
            return
        pending = [(log, entry) for log in self._logs.values() for entry in self._new_entries(log)]
        places = [JournalEntry(self.number, log.name, entry.offset, self.position - 1) for log, entry in pending]
        if places:
            await self.outbox.send_now([journal_record(self._taken.journal_topic, place) for place in places])
        for log, entry in pending:
            self._follow(log, entry)

    def _new_entries(self, log: InstructionLog) -> list[InstructionEntry]:
        """Entries that concern this partition and came since the last look."""
        found = log.entries_after(self._looked[log.name])
        if found:
            self._looked[log.name] = found[-1].offset
        return [entry for entry in found if self.detector.is_concerned_by(entry.instruction)]

    def tend(self) -> bool:
        """Do a slice of what is due: closings, and a checkpoint's encoding; whether there is more to do at once."""
        detector = self.detector
        if self._is_away:
            return False
        if detector.has_due:
            self._emit(detector.advance(round(time.time() * 1000), _CLOSINGS))
        if self._checkpoint is None and self._is_checkpoint_due():
            self._begin_checkpoint()
        if self._checkpoint is not None:
            self._encode(_ENCODINGS)
        return detector.has_due or self._checkpoint is not None

    def _is_checkpoint_due(self) -> bool:
        is_time = time.monotonic() - self._began_s >= CHECKPOINT_S
        return is_time and self._has_news and not self.outbox.has_checkpoint

    def _begin_checkpoint(self) -> None:
        if not self._journal:
            self.detector.state.journal_position = self._taken.journal_end
        self.detector.begin_checkpoint()
        self._has_news = False
        self._began_s = time.monotonic()
        self._checkpoint = Checkpoint({}, self.position, self._began_s)

    def _encode(self, most: int) -> None:
        changes = self.detector.encode_checkpoint(most)
        if changes is not None and self._checkpoint is not None:
            self.outbox.add_checkpoint(self._checkpoint._replace(changes=dict(changes)))
            self._checkpoint = None

    async def hand_over(self) -> None:
        """Send everything, with a last checkpoint, and note in the copy where the changelog then ends."""
        async with self._turn:
            if self._is_away:
                raise RuntimeError(f"partition {self.number}: stopped in the midst of a record")
            await self.outbox.wait_until_sent()
            if self._has_news or self._checkpoint:
                self._begin_checkpoint()
                self._encode(1 << 62)
                await self.outbox.wait_until_sent()
            if self.outbox.has_checkpoint:
                raise RuntimeError(f"partition {self.number}: the last checkpoint was not taken")
            self._taken.copy.end = max(self._taken.copy.end, self._taken.producer.changelog_end)

    def abandon(self) -> None:
        """Give up what is being sent, now."""
        self._taken.producer.abandon()
