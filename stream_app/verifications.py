"""Recorded decisions against those that follow from their evidence, field by field."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.decisions import Decision
from stream_app.detection.decode import Rejected
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, EmitDecision
from stream_app.detection.operators import Instruction, JournalEntry
from stream_app.detection.records import Record

#: Dates only the cause of effects, which is no part of a decision.
_NOW_MS = 0


class Word(NamedTuple):
    """A record of a log that is told to the detector: as understood, as it was, and its topic."""

    instruction: Instruction | Rejected
    original: bytes
    topic: str


#: What was told, by the journal's name of the log and offset.
Words = Mapping[tuple[str, int], Word]


class Difference(Struct, frozen=True):
    """The first field in which a recorded decision is not what follows from its evidence; ``–`` is nothing."""

    decision_id: str
    key: str
    field: str
    recorded: str
    derived: str

    def __str__(self) -> str:
        return f"{self.decision_id} ({self.key}): {self.field} is {self.recorded}, derived {self.derived}"


class Verification(Struct):
    """What was found: decisions that are identical, those that differ, and those of which nothing can be said."""

    identical: int = 0
    differences: list[Difference] = field(default_factory=list)
    untold: int = 0
    limits: list[str] = field(default_factory=list)

    @property
    def is_proof(self) -> bool:
        """Whether every decision was re-derived and is identical."""
        return not self.differences and not self.untold

    def add(self, found: Iterable[Difference | None], excused: Collection[str] | None) -> None:
        """Take in outcomes, ``None`` for identical; of keys that are ``excused`` (all, if ``None``) nothing is said."""
        for difference in found:
            if difference is None:
                self.identical += 1
            elif excused is None or difference.key in excused:
                self.untold += 1
            else:
                self.differences.append(difference)


def rederive(
    detector: Detector | CampaignDetector,
    records: Iterable[Record],
    journal: Sequence[JournalEntry],
    words: Words,
    missing: list[JournalEntry],
) -> Iterator[Decision]:
    """Decisions that follow from a partition's records, with what was told where the journal has it.

    Entries whose record is not among ``words`` are added to ``missing``.
    """
    place = 0
    for record in records:
        while place < len(journal) and journal[place].applied_after_offset < record.offset:
            yield from _decisions(_tell(detector, journal[place], words, missing))
            place += 1
        yield from _decisions(detector.handle([record]))
    for entry in journal[place:]:
        yield from _decisions(_tell(detector, entry, words, missing))
    yield from _decisions(detector.advance(_NOW_MS))


def compare_decisions(
    recorded: Sequence[Decision], derived: Iterable[Decision], sampled: Collection[str], ignored: Collection[str] = ()
) -> Iterator[Difference | None]:
    """Each recorded decision of the sample (by id) against the derived ones; ``None`` where they are identical.

    ``recorded`` are all of the partition: a derived decision that is not among them differs, too, if a later one of
    its subject is; without that, a worker may still be on its way to it. ``ignored`` are fields that are not compared.
    """
    by_id: dict[str, list[Decision]] = {}
    by_key: dict[str, list[str]] = {}
    for decision in derived:
        by_id.setdefault(decision.decision_id, []).append(decision)
        by_key.setdefault(decision.key, []).append(decision.decision_id)
    for decision in recorded:
        if decision.decision_id in sampled:
            yield _compare(decision, by_id.get(decision.decision_id, []), ignored)
    known = {decision.decision_id for decision in recorded}
    for key, ids in by_key.items():
        newest = max((place for place, name in enumerate(ids) if name in known), default=-1)
        for name in ids[:newest]:
            if name not in known:
                yield Difference(name, key, "decision", "–", by_id[name][0].action)


def _tell(
    detector: Detector | CampaignDetector, entry: JournalEntry, words: Words, missing: list[JournalEntry]
) -> list[Effect]:
    word = words.get((entry.log, entry.offset))
    if word is None:
        missing.append(entry)
        return []
    return detector.instruct(entry.log, entry.offset, word.instruction, word.original, word.topic)


def _decisions(effects: Iterable[Effect]) -> Iterator[Decision]:
    return (effect.decision for effect in effects if isinstance(effect, EmitDecision))


def _compare(recorded: Decision, derived: Sequence[Decision], ignored: Collection[str]) -> Difference | None:
    if not derived:
        return Difference(recorded.decision_id, recorded.key, "decision", recorded.action, "–")
    is_same = [one for one in derived if one.revision == recorded.revision] or derived
    found = [_first_difference(recorded, one, ignored) for one in is_same]
    return None if None in found else found[0]


def _first_difference(recorded: Decision, derived: Decision, ignored: Collection[str]) -> Difference | None:
    before, after = (dict(_flat("", msgspec.to_builtins(one))) for one in (recorded, derived))
    for name in dict.fromkeys((*before, *after)):
        if name.partition(".")[0] not in ignored and before.get(name) != after.get(name):
            values = (str(side.get(name, "–")) for side in (before, after))
            return Difference(recorded.decision_id, recorded.key, name, *values)
    return None


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(f"{name}.{key}" if name else str(key), part)
    else:
        yield name, value
