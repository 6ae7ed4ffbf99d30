"""A journal as a file: one value of the journal topic a line."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from stream_app.detection.operators import JournalEntry
from stream_app.replay import OPERATOR_LOG
from stream_app.reports.lines import UnreadableError

_entry = msgspec.json.Decoder(JournalEntry)


def read_journal(path: Path, lines: Sequence[bytes], operator_records: int, partitions: int) -> list[JournalEntry]:
    """Entries in the order of their lines, which within a partition is that of the topic.

    Raises ``UnreadableError`` with the entry's number where one does not belong to a run of so many operator records
    and partitions.
    """
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = _entry.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadableError(f"{path}: entry {number}: {error}") from error
        if not 0 <= entry.partition < partitions:
            raise UnreadableError(f"{path}: entry {number}: partition {entry.partition} of {partitions} (--partitions)")
        if entry.log != OPERATOR_LOG:
            continue  # verdicts come about anew
        if not 0 <= entry.offset < operator_records:
            raise UnreadableError(
                f"{path}: entry {number}: operator record {entry.offset} of {operator_records} (--operator)"
            )
        entries.append(entry)
    return entries
