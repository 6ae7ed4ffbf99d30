"""Runs of records in pieces: nothing lost, nothing twice, and a long record alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.adapters.slices import LONG_BYTES, slices_of
from stream_app.detection.records import Record

lengths = st.lists(st.sampled_from([0, 1, 400, 9_000, LONG_BYTES, LONG_BYTES + 1, 8 * LONG_BYTES]), max_size=80)


@settings(derandomize=True, deadline=None)
@given(lengths=lengths, position=st.integers(0, 200))
def test_pieces_are_the_records_from_the_position_on_and_long_ones_come_alone(
    lengths: list[int], position: int
) -> None:
    records = [Record(2 * place, 0, b"x" * length, {}) for place, length in enumerate(lengths)]
    pieces = list(slices_of(records, position))
    assert [record for piece in pieces for record in piece] == [r for r in records if r.offset >= position]
    for piece in pieces:
        assert len(piece) == 1 or all(len(record.value or b"") <= LONG_BYTES for record in piece)
