"""Everything that recorded decisions follow from, read again: events or signals, what was told, and where."""

from collections.abc import Iterator
from threading import Event
from typing import NamedTuple

from stream_app.adapters.decision_log import read_records
from stream_app.adapters.histories import HistorySource, find_spans, read_spans
from stream_app.adapters.journals import BACKFILL, read_journal
from stream_app.adapters.recorded_events import Span
from stream_app.detection.campaigns.repetitions import VerdictReader
from stream_app.detection.operators import JournalEntry, parse_operator
from stream_app.detection.records import Record
from stream_app.settings import Settings
from stream_app.topology import TopicName
from stream_app.verifications import Word


class Evidence(NamedTuple):
    """What a stage's partition was given, and in which way that is no longer all of it, a line each."""

    span: Span
    journal: list[JournalEntry]
    limits: list[str]


def read_words(settings: Settings) -> dict[tuple[str, int], Word]:
    """All operator records, and the verdicts that are kept; raises ``DecisionLogError``."""
    words = {}
    for name, parse in ((TopicName.OPERATOR, parse_operator), (TopicName.VERDICTS, VerdictReader().parse)):
        topic = settings.topic(name)
        for record in read_records(settings, name):
            words[name.partition(".")[0], record.offset] = Word(parse(record.value or b""), record.value or b"", topic)
    return words


def find_evidence(settings: Settings, hours: float | None) -> list[Evidence]:
    """What is left of each partition of the settings' stage, from its beginning or from some hours ago.

    Raises ``RecordsGoneError``.
    """
    topics = settings.stage_topics
    spans = find_spans(settings, HistorySource(None, settings.topic(topics.source), hours))
    places = find_spans(settings, HistorySource(None, settings.topic(topics.journal), None))
    found = []
    for span, place in zip(spans, places, strict=True):
        limits = []
        if not span.is_whole:
            why = "as asked" if hours is not None else "older ones are no longer kept"
            limits.append(f"{span.topic}, partition {span.partition} is read from offset {span.first} on, {why}")
        if not place.is_whole:
            limits.append(f"{place.topic}, partition {place.partition} is kept from offset {place.first} on only")
        journal, _ = read_journal(settings, span.partition, 0, Event())
        told = [entry for entry in journal if entry.log != BACKFILL]
        if len(told) < len(journal):
            where = f"{span.topic}, partition {span.partition}"
            limits.append(f"{where} went on from states that backfill had made of a past which no topic holds")
        found.append(Evidence(span, told, limits))
    return found


def read_evidence(settings: Settings, span: Span) -> Iterator[Record]:
    """The records of one partition; raises ``RecordsGoneError``."""
    return (record for _, record in read_spans(settings, [span]))
