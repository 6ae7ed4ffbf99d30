"""Encoded states of released layouts are read and written as they were; what they rest on is pinned exactly."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from stream_app.detection.features import CODES
from stream_app.detection.scorers import SCORER, SCORER_VERSION
from stream_app.detection.state import (
    PARTITION_KEY,
    STATE_VERSION,
    TenantState,
    decode_partition,
    decode_tenant,
    due_minute,
    encode_partition,
    encode_tenant,
)
from tests.unit.streams import EventFields, event, in_order, new_detector, records, steady

GOLDEN = Path(__file__).parent / "golden"
TENANTS = sorted(GOLDEN.glob("tenant-*.state"))


@pytest.mark.parametrize("name", ["faust-streaming", "mode-streaming", "aiokafka", "river"])
def test_what_private_names_or_states_rely_on_is_pinned_exactly(name: str) -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    (pin,) = [need for need in project["dependencies"] if re.match(rf"{name}\b", need)]
    assert pin == f"{name}=={version(name)}"


def test_the_state_version_stands_for_this_river_and_scorer() -> None:
    assert (STATE_VERSION, version("river"), SCORER, SCORER_VERSION) == (7, "0.26.1", "log_baseline", "3")


def test_the_order_of_features_is_part_of_the_state() -> None:
    known = (GOLDEN / "features.txt").read_text().split()
    assert list(CODES[: len(known)]) == known


@pytest.mark.parametrize("path", TENANTS, ids=lambda path: path.stem)
def test_golden_tenant_states_decode_and_encode_identically(path: Path) -> None:
    encoded = path.read_bytes()
    assert encode_tenant(decode_tenant(encoded), due_minute(encoded)) == encoded


def test_the_golden_partition_state_decodes_and_encodes_identically() -> None:
    encoded = (GOLDEN / "partition.state").read_bytes()
    state = decode_partition(encoded)
    assert encode_partition(state) == encoded
    assert (state.position, state.told, set(state.watermark.claims)) == (1619, {}, {"ahead"})


def test_the_same_stream_still_gives_the_golden_states() -> None:
    """Whoever changes a layout or a scorer changes this: raise the version, and say what becomes of old states."""
    states = golden_states()
    assert {path.stem for path in GOLDEN.glob("*.state")} == set(states)
    for name, encoded in states.items():
        assert encoded == (GOLDEN / f"{name}.state").read_bytes(), name


def golden_states() -> dict[str, bytes | None]:
    """States after half an hour: an ordinary tenant, a throttled one, one of many accounts, and a claim ahead."""
    crowd = [event(k * 4.01, "crowd", account_id=f"user-{k % 90}", model=f"model-{k % 3}") for k in range(450)]
    burst = steady(1780, 1810, 900, "noisy", name="burst")
    stream = in_order(steady(0, 1810, 12, "plain"), steady(0, 1780, 12, "noisy"), burst, crowd)
    detector = new_detector()
    detector.handle(records([*stream, event(5400, "ahead")]))
    changes = detector.take_changes()
    return {"partition" if key == PARTITION_KEY else f"tenant-{key}": encoded for key, encoded in changes.items()}


def test_states_from_before_a_feature_go_on_and_learn_it() -> None:
    """The older states end before surges were judged: their baselines are fewer, the layout is the same."""
    stream = in_order(*(steady(1810, 4 * 3600, 12, tenant, name="later") for tenant in ("plain", "noisy")))
    newest, older = (continued(folder, stream) for folder in (GOLDEN, GOLDEN / "older"))
    for name in ("plain", "noisy"):
        one, other = newest[name].baselines, older[name].baselines
        assert len(one) == len(other) == len(CODES)
        differing = {CODES[place] for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]}
        assert differing <= {"surge_60s", "account_surge_60s", "surge_600s", "account_surge_600s", "surge_180s"}
        assert other[CODES.index("surge_60s")] is not None


def continued(folder: Path, stream: list[EventFields]) -> dict[str, TenantState]:
    """Tenants after a stream that goes on from the states of a folder."""
    names = {"partition": PARTITION_KEY, "tenant-plain": "plain", "tenant-noisy": "noisy"}
    states = {key: (folder / f"{name}.state").read_bytes() for name, key in names.items()}
    detector = new_detector(encoded=states)
    begin = decode_partition(states[PARTITION_KEY]).position
    detector.handle([record._replace(offset=begin + place) for place, record in enumerate(records(stream))])
    changes = detector.take_changes()
    return {tenant: decode_tenant(changes[tenant] or b"") for tenant in ("plain", "noisy")}
