"""Encoded states: they come back as they were, and other versions are refused."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from stream_app.detection.decisions import Action
from stream_app.detection.ladder import Standing
from stream_app.detection.scorers import Baseline
from stream_app.detection.state import (
    STATE_VERSION,
    Override,
    PartitionState,
    StateError,
    TenantState,
    decode_partition,
    decode_tenant,
    due_minute,
    encode_partition,
    encode_tenant,
)
from stream_app.detection.watermark import Watermark
from stream_app.detection.windows import Minute, Pane

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def full_state(accounts: int = 40) -> TenantState:
    state = TenantState(last_offset=7, revision=9, models={"small": 1.5}, baselines=[None, Baseline(3.0, 0.1, 1 / 3)])
    minute = Minute(requests=3, models={"small": 3})
    for number in range(accounts):
        minute.add_account(f"user-{number}")
    state.windows.minutes = {29_000_000: minute}
    state.windows.panes = {174_000_000: Pane(1, 2, 3, 4, "first", requests=5, ids={1: None, 2**32 - 1: None})}
    state.standing = Standing(Action.THROTTLE, 1, 2, 3, 4, "d", 5)
    state.overrides = {"account:a/b": Override("op", Action.BLOCK, 1, 2, "d2")}
    return state


@given(accounts=st.integers(0, 400))
@repeatable
def test_a_state_comes_back_as_it_was(accounts: int) -> None:
    state = full_state(accounts)
    encoded = encode_tenant(state, 29_000_001)
    again = decode_tenant(encoded)
    assert encode_tenant(again, due_minute(encoded)) == encoded
    assert due_minute(encoded) == 29_000_001
    assert again.standing == state.standing
    assert again.overrides == state.overrides
    assert again.windows.panes == state.windows.panes
    assert again.windows.distinct_accounts(29_000_000) == state.windows.distinct_accounts(29_000_000)
    baseline = again.baselines[1]
    assert baseline is not None
    assert astuple(baseline) == (3.0, 0.1, 1 / 3)


def test_a_partitions_state_comes_back_as_it_was() -> None:
    state = PartitionState(Watermark(5, {"a": 70_000}, 70_000), position=12, told={"operator": 3})
    assert decode_partition(encode_partition(state)) == state


def test_a_partitions_state_of_a_release_that_knew_no_newcomers_is_read() -> None:
    state = PartitionState(Watermark(1_000), 7)
    version, *body = encode_partition(state)
    fields = msgspec.msgpack.decode(bytes(body))
    older = bytes([version]) + msgspec.msgpack.encode(fields[: PartitionState.__struct_fields__.index("newcomers")])
    assert decode_partition(older) == state


@pytest.mark.parametrize("encoded", [b"", bytes((STATE_VERSION + 1,)), b"\x00abc"])
def test_another_versions_bytes_are_refused(encoded: bytes) -> None:
    with pytest.raises(StateError, match=rf"this program reads version {STATE_VERSION}"):
        decode_tenant(encoded)
    with pytest.raises(StateError):
        decode_partition(encoded)


@pytest.mark.parametrize("rest", [b"", b"\x00\x00\x00\x01", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x01garbage"])
def test_bytes_that_are_no_state_are_refused(rest: bytes) -> None:
    with pytest.raises(StateError):
        decode_tenant(bytes((STATE_VERSION,)) + rest)
    with pytest.raises(StateError):
        decode_partition(bytes((STATE_VERSION,)) + rest)


def test_a_tenant_of_one_request_takes_few_bytes() -> None:
    assert len(encode_tenant(TenantState(), 0)) < 40
