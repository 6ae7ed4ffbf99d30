"""Realistic states: three hours of a population through the core, and what each field of them takes."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks.throughput import workload
from stream_app.detection.state import PARTITION_KEY, TenantState, decode_tenant, encode_tenant
from stream_app.detection.windows import Windows
from stream_app.policies import read_policy
from stream_app.replay import Replay
from stream_app.settings import Settings


class States(NamedTuple):
    """Encoded states: those of the tenants, and the partition's own."""

    tenants: list[bytes]
    partition: bytes


def population_states() -> States:
    """States of the tenants of a seeded population after three hours (benchmarks/throughput.py)."""
    replay = Replay(read_policy(Settings()))
    for _ in replay.run(workload()):
        pass
    states = replay.states[0]
    return States([state for key, state in states.items() if key != PARTITION_KEY], states[PARTITION_KEY])


def _without_ids(state: TenantState) -> TenantState:
    panes = {index: replace(pane, ids={}) for index, pane in state.windows.panes.items()}
    return replace(state, windows=replace(state.windows, panes=panes))


def _without_accounts(state: TenantState) -> TenantState:
    minutes = {index: replace(minute, accounts=None) for index, minute in state.windows.minutes.items()}
    return replace(state, windows=replace(state.windows, minutes=minutes))


def _without_models(state: TenantState) -> TenantState:
    minutes = {index: replace(minute, models={}) for index, minute in state.windows.minutes.items()}
    return replace(state, windows=replace(state.windows, minutes=minutes))


#: Each takes one field away; ids, accounts and models are parts of panes and minutes.
_WITHOUT: dict[str, Callable[[TenantState], TenantState]] = {
    "panes": lambda state: replace(state, windows=replace(state.windows, panes={})),
    "of them recent ids": _without_ids,
    "minutes": lambda state: replace(state, windows=replace(state.windows, minutes={})),
    "of them accounts": _without_accounts,
    "of them models": _without_models,
    "baselines": lambda state: replace(state, baselines=[]),
    "usual models": lambda state: replace(state, models={}),
    "standing": lambda state: replace(state, standing=None),
    "overrides": lambda state: replace(state, overrides={}),
}


def field_bytes(encoded: list[bytes]) -> dict[str, list[int]]:
    """Bytes of every field by name, one number per state; ``head and numbers`` is what all states have."""
    empty = len(encode_tenant(TenantState(windows=Windows()), 0))
    found: dict[str, list[int]] = {name: [] for name in _WITHOUT}
    for state_bytes in encoded:
        state = decode_tenant(state_bytes)
        for name, without in _WITHOUT.items():
            found[name].append(len(state_bytes) - len(encode_tenant(without(state), 0)))
    return {"head and numbers": [empty] * len(encoded), **found}
