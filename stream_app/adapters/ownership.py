"""The partitions this worker owns at the moment: taken over, tended, handed over."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

from mode import Service

from stream_app.adapters.changelogs import ChangelogCopy, Standby
from stream_app.adapters.clients import AbandonedError
from stream_app.adapters.gauges import show_partition, show_states
from stream_app.adapters.instruction_logs import InstructionLog, Parse
from stream_app.adapters.outboxes import Outbox, RecordsOf
from stream_app.adapters.partitions import OnCampaigns, OwnedPartition
from stream_app.adapters.sources import Chunk, Deliver, SourceChangedError, SourceReader
from stream_app.adapters.takeovers import NewDetector, open_partition
from stream_app.adapters.transactions import FencedError
from stream_app.detection.campaigns.states import check_part
from stream_app.detection.state import check_state
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.topology import Stage, TopicName

_log = logging.getLogger(__name__)

#: A live broker takes a checkpoint in tens of milliseconds; beyond this a stop would rather be done.
HAND_OVER_S = 5.0
#: Fenced, and still said to be the owner after this long: the group and the broker disagree, and only a restart helps.
_FENCED_S = 30.0
_IDLE_S = 0.05
_LOOK_S = 1.0
#: States are measured a partition at a time, each once in so many looks.
_LOOKS_AT_STATES = 60

#: Commits source positions by partition for the group; whether the broker took them.
Commit = Callable[[dict[int, int]], Awaitable[bool]]


class Ownership(Service):
    """Brings chunks, instructions and rebalances to partitions.

    ``new_detector`` makes the core of a partition from its number and encoded states. ``copies`` is the memory of the
    Faust table: the changelogs of owned and standby partitions. ``deliver`` gets the source's chunks, to be given back
    to ``apply``. ``instructions`` says how each log's records are understood. ``crash`` ends the worker: our own
    errors do, so that no event is skipped.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        new_detector: NewDetector,
        records_of: RecordsOf,
        copies: dict[int, ChangelogCopy],
        metrics: Metrics,
        deliver: Deliver,
        commit: Commit,
        instructions: Mapping[TopicName, Parse],
        crash: Callable[[Exception], None],
        on_campaigns: OnCampaigns,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._check = check_state if settings.stage is Stage.TENANTS else check_part
        self._open = partial(open_partition, settings, new_detector=new_detector, metrics=metrics.partitions)
        self._records_of = records_of
        self._copies = copies
        self._metrics = metrics
        self._deliver = deliver
        self._commit = commit
        self._on_crash = crash
        self._on_campaigns = on_campaigns
        self._threads = ThreadPoolExecutor(max_workers=settings.stage_partitions + 2, thread_name_prefix="partition")
        self._partitions: dict[int, OwnedPartition] = {}
        self._fenced_s: dict[int, float] = {}
        self._committed: dict[int, int] = {}
        self._takeover: asyncio.Task[None] | None = None
        self._abandoned = Event()
        self._is_applying = False
        self._looks = 0
        self.logs = [
            InstructionLog(
                settings=settings,
                topic=name,
                parse=parse,
                metrics=metrics,
                on_entry=self._on_instructions,
            )
            for name, parse in instructions.items()
        ]

    async def on_start(self) -> None:
        """Start the threads that read."""
        self._reader = SourceReader(self._settings, self._deliver, self._on_crash)
        self._standby = Standby(self._settings, self._copies, self._on_crash)
        self._reader.start()
        self._standby.start()

    async def on_stop(self) -> None:
        """End the threads that read."""
        self._reader.stop()
        self._standby.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def has_partitions(self) -> bool:
        """Whether any partition is owned and recovered."""
        return bool(self._partitions)

    async def take_over(self, actives: set[int], standbys: set[int]) -> None:
        """Own these partitions from now on, recovered and read from where their states are; follow the standbys."""
        if added := {number for number in actives if number >= self._settings.stage_partitions}:
            source = self._settings.topic(self._settings.stage_topics.source)
            raise SourceChangedError(
                f"{source} now has more than {self._settings.stage_partitions} partitions (partition {min(added)} is "
                "new), and tenants have moved away from their states: see Restarts in docs/operating.md"
            )
        self._abandoned = Event()
        self._takeover = asyncio.create_task(self._take_over(actives, standbys))
        await asyncio.wait([self._takeover])
        if error := self._takeover.exception():
            raise error

    async def _take_over(self, actives: set[int], standbys: set[int]) -> None:
        for log in self.logs:
            await log.complete.wait()
        for number in set(self._copies) - actives - standbys:
            del self._copies[number]
        for number in actives | standbys:
            self._copies.setdefault(number, ChangelogCopy(self._check))
        self._standby.follow(standbys - actives)
        outcomes = await asyncio.gather(*(self._take(number) for number in actives), return_exceptions=True)
        for number, outcome in zip(actives, outcomes, strict=True):
            if isinstance(outcome, FencedError):
                self._fenced_s[number] = time.monotonic()
            elif isinstance(outcome, BaseException) and not isinstance(outcome, AbandonedError):
                raise outcome

    async def _take(self, number: int) -> None:
        order = (number, self._copies[number], self._abandoned)
        taken = await asyncio.get_running_loop().run_in_executor(self._threads, self._open, *order)

        def on_error(error: Exception) -> None:
            self._on_error(number, error)

        outbox = Outbox(
            records_of=self._records_of,
            producer=taken.producer,
            threads=self._threads,
            metrics=self._metrics,
            on_error=on_error,
        )
        partition = OwnedPartition(
            taken, self.logs, outbox, self._reader, metrics=self._metrics, on_campaigns=self._on_campaigns
        )
        self._partitions[number] = partition
        show_states(self._metrics.partitions, number, taken.copy.states)
        await partition.instruct()
        self._reader.assign(number, partition.position)
        _log.info("partition %d: taken over at offset %d", number, partition.position)

    async def apply(self, chunks: list[Chunk]) -> None:
        """Apply chunks, except those of partitions that are no longer ours."""
        self._is_applying = True
        for chunk in chunks:
            if partition := self._partitions.get(chunk.partition):
                await self._unless_fenced(chunk.partition, partition.apply(chunk))
        self._is_applying = False

    @Service.task
    async def _tend(self) -> None:
        """Slices of what is due in all partitions, for ever, and never much at a time."""
        try:
            while not self.should_stop:
                is_busy = False
                for partition in list(self._partitions.values()):
                    is_busy |= partition.tend()
                    await asyncio.sleep(0)
                await asyncio.sleep(0 if is_busy else _IDLE_S)
        except Exception as error:  # noqa: BLE001 - ends the worker
            self._on_crash(error)

    @Service.timer(_LOOK_S)
    async def _look(self) -> None:
        for number, partition in self._partitions.items():
            if not self._is_applying and self._reader.repair(number, partition.position):
                self._metrics.rewinds.inc()
            show_partition(self._metrics.partitions, partition, self._reader.ends.get(number, -1))
            if self._looks % _LOOKS_AT_STATES == number % _LOOKS_AT_STATES:
                show_states(self._metrics.partitions, number, self._copies[number].states)
        self._looks += 1
        await self._commit_group(self._partitions)
        for number, since_s in self._fenced_s.items():
            if time.monotonic() - since_s > _FENCED_S:
                self._on_crash(FencedError(f"partition {number} was fenced, and no rebalance has followed"))

    async def _commit_group(self, partitions: dict[int, OwnedPartition]) -> None:
        """Tell the group how far the checkpoints are, for those who watch its lag; nothing here depends on it."""
        offsets = {number: p.checkpointed for number, p in partitions.items() if p.checkpointed is not None}
        changed = {number: offset for number, offset in offsets.items() if self._committed.get(number) != offset}
        if changed and await self._commit(changed):
            self._committed |= changed

    async def hand_over(self) -> None:
        """A last checkpoint of every partition before they are taken from this worker or it stops.

        If the broker does not take it in time it is given up with all memory of the partition, and the next owner
        repeats what it would have held.
        """
        self._abandoned.set()
        if self._takeover and not self._takeover.done():
            await asyncio.wait([self._takeover])
        partitions, self._partitions = self._partitions, {}
        for number in partitions:
            self._reader.unassign(number)
            self._metrics.partitions.forget(number)
        self._on_campaigns(None)
        await asyncio.gather(*(self._leave(partition) for partition in partitions.values()))
        await self._commit_group(partitions)
        self._fenced_s, self._committed = {}, {}

    async def _leave(self, partition: OwnedPartition) -> None:
        try:
            async with asyncio.timeout(HAND_OVER_S):
                await partition.hand_over()
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing of it is kept
            _log.warning("partition %d: no last checkpoint (%r); the next owner repeats it", partition.number, error)
            partition.abandon()
            self._copies.pop(partition.number, None)

    async def _on_instructions(self) -> None:
        for number, partition in list(self._partitions.items()):
            await self._unless_fenced(number, partition.instruct())

    async def _unless_fenced(self, number: int, work: Awaitable[None]) -> None:
        try:
            await work
        except (AbandonedError, FencedError) as error:
            self._on_error(number, error)

    def _on_error(self, number: int, error: Exception) -> None:
        if not isinstance(error, AbandonedError | FencedError):
            self._on_crash(error)
            return
        partition = self._partitions.pop(number, None)
        if partition is not None:
            _log.warning("%s: another worker owns it", error)
            self._fenced_s[number] = time.monotonic()
            self._copies.pop(number, None)
            self._reader.unassign(number)
            self._metrics.partitions.forget(number)
            self._on_campaigns(None)
