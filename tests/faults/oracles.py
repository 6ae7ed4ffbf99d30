"""What should have come out, computed in one piece from the source topic, and how reality differs from it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from datasketches import hll_sketch

from stream_app.detection.detector import Detector
from stream_app.detection.effects import DeadLetter, Effect, EmitDecision, ForgetDecision
from stream_app.detection.operators import parse_operator
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record as SourceRecord
from stream_app.detection.state import PARTITION_KEY, decode_partition, decode_tenant
from stream_app.detection.windows import PANES
from tests.brokers import Record

#: Encoded states by partition and key.
States = dict[int, dict[str, bytes]]
#: Dead letters by their key (place), with the reason.
Letters = dict[str, str]


class Instruction(NamedTuple):
    """An operator record and the source offset that it took effect after, in one partition."""

    offset: int
    value: bytes
    applied_after: int


class Lost(NamedTuple):
    """Offsets that retention took before they were read: from ``start`` to before ``end``."""

    start: int
    end: int


class Outcome(NamedTuple):
    """What a deployment has made of its input: states, decisions by id, the newest of each key, and dead letters."""

    states: States
    decisions: dict[str, set[bytes]]
    control: dict[str, bytes]
    letters: Letters


class Verdict(NamedTuple):
    """How reality differs from what should be. ``events`` were given; everything else must be 0.

    ``states`` counts those that differ although no event is lost or double, ``positions`` partitions whose state is
    not that of the end of the topic.
    """

    events: int
    lost: int = 0
    double: int = 0
    wrong: int = 0
    states: int = 0
    positions: int = 0
    missing: int = 0
    extra: int = 0
    differing: int = 0
    letters: int = 0
    decisions: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether nothing is lost, double, misplaced or different."""
        return not any(self[1:-1])


class Oracle:
    """Runs the core over each partition's log in one piece."""

    def __init__(self, topic: str, operator_topic: str, partitions: int, policy: Policy) -> None:
        self._topic = topic
        self._operator_topic = operator_topic
        self._partitions = partitions
        self._policy = policy

    def run(
        self,
        source: Iterable[Record],
        instructions: Mapping[int, list[Instruction]],
        lost: Mapping[int, Lost],
    ) -> tuple[Outcome, int]:
        """What should come of the source topic, and of how many events."""
        outcome, events = Outcome({}, {}, {}, {}), 0
        by_partition: dict[int, list[Record]] = {}
        for record in source:
            by_partition.setdefault(record.partition, []).append(record)
        for number, records in by_partition.items():
            states: dict[str, bytes] = {}
            detector = Detector(self._topic, number, self._partitions, self._policy, states)
            detector.has_campaigns = True
            effects = self._handle(detector, records, instructions.get(number, []), lost.get(number))
            effects += detector.advance(0)
            detector.take_changes()
            tally = detector.take_tally()
            events += tally.applied + tally.repeated + tally.rejected
            outcome.states[number] = states
            _note(effects, outcome)
        return outcome, events

    def _handle(
        self, detector: Detector, records: list[Record], instructions: list[Instruction], lost: Lost | None
    ) -> list[Effect]:
        if not (instructions or lost):
            return detector.handle(map(_as_given, records))
        effects: list[Effect] = []
        pending = list(instructions)
        for record in records:
            while pending and pending[0].applied_after < record.offset:
                effects += self._instruct(detector, pending.pop(0))
            if lost is not None and lost.start <= record.offset < lost.end:
                detector.state.position = lost.end
                continue
            effects += detector.handle([_as_given(record)])
        for instruction in pending:
            effects += self._instruct(detector, instruction)
        return effects

    def _instruct(self, detector: Detector, given: Instruction) -> list[Effect]:
        return detector.instruct(
            "operator", given.offset, parse_operator(given.value), given.value, self._operator_topic
        )


def _as_given(record: Record) -> SourceRecord:
    headers = {name: value or b"" for name, value in record.headers}
    return SourceRecord(record.offset, record.timestamp, record.value, headers)


def _note(effects: Iterable[Effect], outcome: Outcome) -> None:
    for effect in effects:
        if isinstance(effect, EmitDecision):
            decision = effect.decision
            body = msgspec.json.encode(decision)
            outcome.decisions.setdefault(decision.decision_id, set()).add(body)
            outcome.control[decision.key] = body
        elif isinstance(effect, ForgetDecision):
            outcome.control[effect.key] = b""
        elif isinstance(effect, DeadLetter):
            place = f"{effect.topic}/{effect.partition}/{effect.offset}"
            outcome.letters[place if effect.index is None else f"{place}/{effect.index}"] = effect.reason


def judge(expected: Outcome, actual: Outcome, events: int, partitions: int) -> Verdict:
    """Compare; a differing state is first looked at for lost and double events, minute by minute."""
    lost = double = states = positions = 0
    for number, should in expected.states.items():
        found = actual.states.get(number, {})
        positions += _position(should) != _position(found)
        for key in (should.keys() | found.keys()) - {PARTITION_KEY}:
            if should.get(key) != found.get(key):
                few, many = _count_differences(should.get(key), found.get(key))
                lost += few
                double += many
                states += not (few or many) and _differ(should.get(key), found.get(key))
        states += _differs_in_clock(should, found)
    missing, extra, differing = _compare_decisions(expected, actual)
    return Verdict(
        events=events,
        lost=lost,
        double=double,
        wrong=_count_misplaced(actual.states, partitions),
        states=states,
        positions=positions,
        missing=missing,
        extra=extra,
        differing=differing,
        letters=len(expected.letters.items() ^ actual.letters.items()),
        decisions=len(expected.decisions),
    )


def _compare_decisions(expected: Outcome, actual: Outcome) -> tuple[int, int, int]:
    missing = sum(name not in actual.decisions for name in expected.decisions)
    extra = sum(name not in expected.decisions for name in actual.decisions)
    differing = sum(
        bodies != actual.decisions[name] for name, bodies in expected.decisions.items() if name in actual.decisions
    )
    stale = sum(actual.control.get(key) != body for key, body in expected.control.items())
    return missing, extra, differing + stale


def _position(states: Mapping[str, bytes]) -> int:
    encoded = states.get(PARTITION_KEY)
    return -1 if encoded is None else decode_partition(encoded).position


def _differs_in_clock(should: Mapping[str, bytes], found: Mapping[str, bytes]) -> bool:
    """Whether watermark or operator offset differ; a missing state and another position have been counted."""
    if PARTITION_KEY not in should or PARTITION_KEY not in found:
        return False
    one, other = decode_partition(should[PARTITION_KEY]), decode_partition(found[PARTITION_KEY])
    return (one.watermark, one.told) != (other.watermark, other.told)


def _differ(should: bytes | None, found: bytes | None) -> bool:
    """Whether states differ as values; their bytes do."""
    if should is None or found is None:
        return True
    one, other = decode_tenant(should), decode_tenant(found)
    return bool(msgspec.to_builtins(one, enc_hook=_plain) != msgspec.to_builtins(other, enc_hook=_plain))


def _plain(sketch: hll_sketch) -> bytes:
    plain: bytes = sketch.serialize_updatable()
    return plain


def _count_differences(should: bytes | None, found: bytes | None) -> tuple[int, int]:
    """Events too few and too many, summed over the minutes in which either is so."""
    one, other = _events_by_minute(should), _events_by_minute(found)
    return (one - other).total(), (other - one).total()


def _events_by_minute(encoded: bytes | None) -> Counter[int]:
    if encoded is None:
        return Counter()
    windows = decode_tenant(encoded).windows
    counts = Counter({index: part.requests + part.denied for index, part in windows.minutes.items()})
    for index, pane in windows.panes.items():
        if index // PANES > windows.closed_minute:
            counts[index // PANES] += pane.requests + pane.denied
    return counts


def _count_misplaced(states: States, partitions: int) -> int:
    return sum(
        partition_of(key, partitions) != number
        for number, found in states.items()
        for key in found
        if key != PARTITION_KEY
    )
