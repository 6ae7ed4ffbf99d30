"""A tenant's windows over time, as the core itself sees them when it is run again on that tenant's events."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from stream_app.detection.decisions import Action, Decision, split_key
from stream_app.detection.decode import Rejected, decode_record
from stream_app.detection.detector import Detector
from stream_app.detection.effects import EmitDecision
from stream_app.detection.features import CODES, FEATURES, SHAPE_MINUTES, Feature
from stream_app.detection.operators import OperatorWord, SetPolicy
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.detection.state import decode_tenant
from stream_app.detection.traces import Traced, trace
from stream_app.detection.watermark import ALLOWED_LATENESS_MS
from stream_app.detection.windows import LONG_MINUTES, MINUTE_MS
from stream_app.plots.times import MINUTE_S, Bins

#: Recorded events carry the time of their arrival elsewhere, if at all: none counts as coming from the future.
_NO_TIMESTAMP_MS = 1 << 62

#: More features than these share what is left of the score between them.
MAX_PANELS = 4

_elements = Decoder(list[Raw])


class Track(Struct):
    """One feature by slices of time: the largest value of each, and the newest levels; ``None`` where nothing is known.

    ``levels`` are those of ``traces.Traced``, by rung; ``own`` is what one account alone asked for.
    """

    feature: Feature
    bins: Bins
    served: list[float | None]
    asked: list[float | None]
    expected: list[float | None]
    levels: dict[Action, list[float | None]] = field(default_factory=dict)
    own: list[float | None] = field(default_factory=list)

    def add(self, minute: int, traced: Traced) -> None:
        """Take in a minute; shapes are judged every few minutes, and each time for the minutes before as well."""
        first = minute if self.feature.counter is not None else minute - SHAPE_MINUTES + 1
        for each in range(first, minute + 1):
            place = self.bins.slice_of(each)
            if place is not None and (each == minute or self.expected[place] is None):
                self._add(place, traced)

    def _add(self, place: int, traced: Traced) -> None:
        self.served[place] = max(self.served[place] or 0.0, traced.served)
        self.asked[place] = max(self.asked[place] or 0.0, traced.asked)
        self.expected[place] = traced.expected
        for rung, level in traced.levels.items():
            self.levels.setdefault(rung, [None] * self.bins.count)[place] = level

    def expected_at(self, at_s: float) -> float | None:
        """What was usual at a time, as known then."""
        return known_at(self.expected, self.bins, at_s)


def known_at(values: Sequence[float | None], bins: Bins, at_s: float) -> float | None:
    """The newest value known at a time."""
    place = min(max(int(bins.place(at_s)), 0), bins.count - 1)
    return next((value for value in reversed(values[: place + 1]) if value is not None), None)


def new_track(code: str, bins: Bins) -> Track:
    """An empty track of a feature that the core knows."""
    nothing: list[float | None] = [None] * bins.count
    return Track(FEATURES[CODES.index(code)], bins, nothing.copy(), nothing.copy(), nothing.copy())


def trimmed(tracks: Mapping[str, Track]) -> dict[str, Track]:
    """The same without the slices before anything is known and after the last; tracks share their slices."""
    known = [place for track in tracks.values() for place, value in enumerate(track.expected) if value is not None]
    if not known:
        return dict(tracks)
    first, end = min(known), max(known) + 1
    return {code: _cut(track, first, end) for code, track in tracks.items()}


def _cut(track: Track, first: int, end: int) -> Track:
    bins = Bins(track.bins.start_min + first * track.bins.step_min, track.bins.step_min, end - first)
    return Track(
        track.feature,
        bins,
        track.served[first:end],
        track.asked[first:end],
        track.expected[first:end],
        {rung: values[first:end] for rung, values in track.levels.items()},
        track.own[first:end],
    )


def plotted_codes(carried: Mapping[str, float]) -> list[str]:
    """The known features that carried most, at most ``MAX_PANELS``; requests in a minute if there are none."""
    known = sorted((code for code in carried if code in CODES), key=lambda code: -carried[code])
    return known[:MAX_PANELS] or [next(feature.code for feature in FEATURES if feature.window_s == MINUTE_S)]


def account_of(decision: Decision) -> str | None:
    """The account that a decision is about, if it is about one."""
    _, parts = split_key(decision.key)
    return parts[1] if decision.scope == "account" and len(parts) == 2 else None


class Tracer:
    """Runs the core again on one tenant's events, and on those of ``account_id`` alone, and notes what it knew.

    Only that tenant's events are read, so that minutes close by its own clock; what is judged when they close is the
    same. ``decided`` holds the ids of the decisions that the core makes again. Memory is that of one tenant and its
    tracks; costs what the core costs, and a quarter of a millisecond per plotted minute.
    """

    def __init__(
        self,
        tenant_id: str,
        policy: Policy,
        codes: Sequence[str],
        bins: Bins,
        *,
        account_id: str | None = None,
        instructions: Sequence[OperatorWord] = (),
        only_account: str | None = None,
    ) -> None:
        self.tracks = {code: new_track(code, bins) for code in codes if code in CODES}
        self.decided: set[str] = set()
        self.events = 0
        self.first_ms: int | None = None
        self.newest_ms = 0
        self.tenant_id, self._only, self._policy, self._bins = tenant_id, only_account, policy, bins
        self._own = None if account_id is None else Tracer(tenant_id, policy, codes, bins, only_account=account_id)
        self._places = [CODES.index(code) for code in self.tracks]
        self._instructions = sorted(instructions, key=_at_ms)
        self._states: dict[str, bytes] = {}
        self._detector = Detector("recorded", 0, 1, policy, self._states)
        self._next_minute = bins.start_min
        self._offset = 0

    def add(self, value: bytes | None) -> None:
        """Take in one record of the source; events of others in it are passed over."""
        if self._own is not None:
            self._own.add(value)
        for single, time_ms in self._events_in(value):
            self._instruct(time_ms)
            self._note_closing(time_ms)
            self._apply(single)
            self.events += 1
            self.first_ms = time_ms if self.first_ms is None else min(self.first_ms, time_ms)
            self.newest_ms = max(self.newest_ms, time_ms)

    def finish(self) -> dict[str, Track]:
        """The tracks by code, once there are no more events."""
        self._note_the_rest()
        if self._own is not None:
            self._own._note_the_rest()
            for code, track in self.tracks.items():
                track.own = self._own.tracks[code].asked
        return trimmed(self.tracks)

    def _note_the_rest(self) -> None:
        if self.events:
            self._note_closing(self.newest_ms + MINUTE_MS + ALLOWED_LATENESS_MS)

    def _events_in(self, value: bytes | None) -> Iterator[tuple[bytes, int]]:
        items = decode_record(value, {})
        if value is None or all(isinstance(item, Rejected) for item in items):
            return
        parts: list[Raw | bytes] = list(_elements.decode(value)) if len(items) > 1 else [value]
        for part, item in zip(parts, items, strict=True):
            if isinstance(item, Rejected) or item.tenant_id != self.tenant_id:
                continue
            if self._only is None or item.account_id == self._only:
                yield bytes(part), round(item.time.timestamp() * 1000)

    def _apply(self, value: bytes) -> None:
        record = Record(self._offset, _NO_TIMESTAMP_MS, value, {})
        self._offset += 1
        for effect in self._detector.handle([record]):
            if isinstance(effect, EmitDecision):
                self.decided.add(effect.decision.decision_id)

    def _instruct(self, time_ms: int) -> None:
        while self._instructions and _at_ms(self._instructions[0]) <= time_ms:
            instruction = self._instructions.pop(0)
            if isinstance(instruction, SetPolicy):
                self._policy = instruction.policy
            self._detector.instruct("operator", self._offset, instruction, b"", "operator")

    def _note_closing(self, time_ms: int) -> None:
        """Note every plotted minute that an event of this time is about to close, as long as a window reaches it."""
        closing = (time_ms - ALLOWED_LATENESS_MS) // MINUTE_MS
        last = self.newest_ms // MINUTE_MS + LONG_MINUTES
        if self._next_minute >= closing or not self.events:
            self._next_minute = max(self._next_minute, min(closing, self._bins.end_min))
            return
        self._detector.take_changes()
        if encoded := self._states.get(self.tenant_id):
            state, services = decode_tenant(encoded), self._detector.state.services
            for minute in range(self._next_minute, min(closing, last + 1, self._bins.end_min)):
                for place, traced in trace(
                    self.tenant_id, state, self._policy, minute, services=services, places=self._places
                ).items():
                    self.tracks[FEATURES[place].code].add(minute, traced)
        self._next_minute = closing


def _at_ms(instruction: OperatorWord) -> float:
    return instruction.record.at.timestamp() * 1000
