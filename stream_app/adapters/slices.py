"""Runs of records in pieces that hold up the event loop for a moment only."""

from bisect import bisect_left
from collections.abc import Iterator

from stream_app.detection.records import Record

#: Bytes of records between two looks at the clock: some forty events, whether they come one by one or in arrays. Each
#: may close a few tenants too, half a millisecond in all.
_SLICE_BYTES = 16 << 10
#: A record of more bytes is applied so many events at a time: a megabyte of them would hold up the loop for .1 s.
LONG_BYTES, LONG_EVENTS = 8 * _SLICE_BYTES, 64


def slices_of(records: list[Record], position: int) -> Iterator[list[Record]]:
    """Records not before a position, a few at a time, and each of more than ``LONG_BYTES`` by itself."""
    begin, size = bisect_left(records, position, key=lambda record: record.offset), 0
    for place in range(begin, len(records)):
        length = len(records[place].value or b"")
        if length > LONG_BYTES and begin < place:
            yield records[begin:place]
            begin = place
        size += length
        if size >= _SLICE_BYTES:
            yield records[begin : place + 1]
            begin, size = place + 1, 0
    if begin < len(records):
        yield records[begin:]
