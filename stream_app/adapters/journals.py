"""The journal: where among a partition's events each operator record took effect."""

from threading import Event

import msgspec

from stream_app.adapters.clients import read_to_end
from stream_app.adapters.records import OutgoingRecord
from stream_app.detection.operators import JournalEntry
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: Stands for a log in the entry that a backfill leaves, at the offset of no record, which is why workers pass it over.
BACKFILL = "backfill"

_decoder = msgspec.json.Decoder(JournalEntry)


def journal_record(topic: TopicName, entry: JournalEntry) -> OutgoingRecord:
    """The record that makes an entry durable."""
    return OutgoingRecord(topic, None, msgspec.json.encode(entry), [], is_by_partition=True)


def backfill_record(topic: TopicName, partition: int, start: int) -> OutgoingRecord:
    """Says for whoever verifies later that the states before ``start`` rest on what no topic holds."""
    return journal_record(topic, JournalEntry(partition, BACKFILL, -1, start - 1))


def read_journal(settings: Settings, partition: int, start: int, abandoned: Event) -> tuple[list[JournalEntry], int]:
    """Entries from an offset on, and the next offset. Raises ``AbandonedError`` and ``msgspec.DecodeError``."""
    entries: list[JournalEntry] = []
    position = start
    topic = settings.topic(settings.stage_topics.journal)
    for batch, next_offset, _ in read_to_end(settings, topic, partition, start, abandoned):
        entries += [_decoder.decode(message.value() or b"") for message in batch]
        position = next_offset
    return entries, position
