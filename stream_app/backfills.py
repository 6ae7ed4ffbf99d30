"""Past events through the core, for the states they leave behind: what is known of everybody, and nobody denied."""

from collections.abc import Iterable, MutableMapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.campaigns.entries import Entries, entries_of
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, EmitDecision, EmitSignal, EmitVerdict
from stream_app.detection.events import Time
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.detection.state import PARTITION_KEY, decode_tenant, encode_tenant

#: Past events carry no Kafka timestamp that says anything, so none counts as coming from the future.
NO_TIMESTAMP_MS = 1 << 62
#: Records between two times at which all tenants are put to sleep, so that memory is that of encoded states.
_SLEEP_EVERY = 200_000


class Past(Struct):
    """What was made of the past; ``left_out`` counts records as new as what the worker will read itself.

    ``decisions`` would have been made, and are not. Times are event time in milliseconds, 0 without events.
    """

    events: int = 0
    refused: int = 0
    late: int = 0
    left_out: int = 0
    tenants: int = 0
    campaigns: int = 0
    decisions: int = 0
    begins_ms: int = 0
    ends_ms: int = 0


class _Head(Struct):
    tenant_id: str
    time: Time


_heads = msgspec.json.Decoder(_Head | Annotated[list[_Head], Meta(min_length=1)])


class Backfill:
    """Both stages over past events of all partitions, to be given in the order of time.

    ``starts`` are the offsets at which workers will begin to read each partition: the past, which lies on another
    topic or on none, counts as of that place, so that evidence never names a record that has nothing to do with it.
    Events from ``until_ms`` on are left out. Costs what a replay does.
    """

    def __init__(
        self, policy: Policy, topics: tuple[str, str], starts: Sequence[int], signals_start: int, until_ms: int | None
    ) -> None:
        requests, signals = topics
        self.starts = list(starts)
        self.states: list[dict[str, bytes]] = [{} for _ in starts]
        self.campaign_states: dict[str, bytes] = {}
        self.past = Past()
        self._until_ms = until_ms
        self._signals_start = signals_start
        self._detectors = [
            Detector(requests, number, len(starts), policy, self.states[number]) for number in range(len(starts))
        ]
        for detector in self._detectors:
            detector.has_campaigns = True
        self._campaigns = CampaignDetector(signals, 0, policy, self.campaign_states)
        self._awake = 0

    def take(self, value: bytes) -> None:
        """Apply a record's value, in whose partition it belongs."""
        try:
            heads = _heads.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.past.refused += 1
            return
        head = heads[0] if isinstance(heads, list) else heads
        time_ms = round(head.time.timestamp() * 1000)
        if self._until_ms is not None and time_ms >= self._until_ms:
            self.past.left_out += 1
            return
        number = partition_of(head.tenant_id, len(self.starts))
        self.take_record(number, Record(self.starts[number], NO_TIMESTAMP_MS, value, {}))

    def take_record(self, number: int, record: Record) -> None:
        """Apply a record of the very topic that workers will go on reading, at its own offset."""
        self._perform(self._detectors[number].handle([record]))
        if not self.past.begins_ms:
            self._count(number)
            self.past.begins_ms = self.past.ends_ms
        self._awake += 1
        if self._awake == _SLEEP_EVERY:
            self._awake = 0
            for one in self._detectors:
                one.take_changes()

    def finish(self) -> None:
        """Leave in ``states`` and ``campaign_states`` what workers begin with; nothing may be applied afterwards."""
        for number, detector in enumerate(self._detectors):
            self._perform(detector.advance(NO_TIMESTAMP_MS))
            self._count(number)
            detector.state.position = self.starts[number]
            detector.state.harm.denials = {}
        for number, detector in enumerate(self._detectors):
            detector.take_changes()
            _forgive(self.states[number])
        self._campaigns.state.position = self._signals_start
        self._campaigns.begin_checkpoint()
        self._campaigns.encode_checkpoint()
        self.past.tenants = sum(len(states) - 1 for states in self.states)
        self.past.campaigns = len(self._campaigns.stage.campaigns)

    @property
    def entries(self) -> Entries:
        """What the campaigns topic says of the campaigns that were found."""
        return entries_of(self._campaigns.stage.campaigns)

    def _count(self, number: int) -> None:
        past, tally = self.past, self._detectors[number].take_tally()
        past.events += tally.applied
        past.refused += tally.rejected
        past.late += tally.late
        past.ends_ms = max(past.ends_ms, tally.newest_event_ms)

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, EmitDecision):
                self.past.decisions += 1
            elif isinstance(effect, EmitSignal):
                value = msgspec.json.encode(effect.signal)
                record = Record(self._signals_start, NO_TIMESTAMP_MS, value, {})
                self._perform(self._campaigns.handle([record]))
            elif isinstance(effect, EmitVerdict):
                owner = self._detectors[partition_of(effect.verdict.tenant_id, len(self.starts))]
                self._perform(owner.obey(effect.verdict))


def _forgive(states: MutableMapping[str, bytes]) -> None:
    """Put everybody back to allow: nobody was told of what was decided, so whoever goes on is decided on anew."""
    for tenant_id, encoded in states.items():
        if tenant_id == PARTITION_KEY:
            continue
        state = decode_tenant(encoded)
        if state.standing or state.accounts or state.pending:
            state.standing, state.accounts, state.pending = None, {}, []
            states[tenant_id] = encode_tenant(state, Tenant(tenant_id, state).next_due())
