"""Streams with campaigns: repeatable, within the contract, in order, with the campaign its labels name."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from stream_app.detection.events import Event
from stream_app.simulate import SCENARIOS
from stream_app.simulate.campaigns.attributes import load_clients
from stream_app.simulate.campaigns.hard_negatives import HARD_NEGATIVES
from stream_app.simulate.campaigns.links import LINKS, carried_links
from stream_app.simulate.campaigns.materials import data_folder, load_materials
from stream_app.simulate.campaigns.prompts import Sketches
from stream_app.simulate.campaigns.queues import Queue
from stream_app.simulate.campaigns.rhythms import SERIES_HOURS, load_rhythms
from stream_app.simulate.campaigns.scenarios import campaign, world
from stream_app.simulate.campaigns.worlds import World
from stream_app.simulate.campaigns.wrappers import FAMILIES

END = datetime(2025, 6, 2, 15, tzinfo=UTC)


def one(seed: int = 5, size: int = 40, days: float = 3.0, **asked: object) -> World:
    """A campaign among 150 ordinary tenants."""
    wanted = campaign(1, seed, 0.01, size=size, **asked)  # type: ignore[arg-type]
    return world("test", seed, 0.005, END, campaigns=(wanted,), hard_negatives=(), days=days)


def labels_of(stream: World) -> list[dict[str, object]]:
    """Read to the end, so that the labels are whole."""
    for _ in stream.events():
        pass
    return list(stream.labels())


def scenario_of(stream: World) -> dict[str, Any]:
    return stream.scenario()


@pytest.fixture(scope="module")
def stream() -> World:
    built = SCENARIOS["distillation"](5, 0.02, END)
    assert isinstance(built, World)
    return built


class Reading(NamedTuple):
    """One whole reading; a later one begins the truth anew."""

    events: list[Event]
    labels: list[dict[str, object]]
    scenario: dict[str, Any]


@pytest.fixture(scope="module")
def reading(stream: World) -> Reading:
    events = [msgspec.convert(event, Event) for event in stream.events()]
    return Reading(events, list(stream.labels()), stream.scenario())


@pytest.fixture(scope="module")
def events(reading: Reading) -> list[Event]:
    return reading.events


@pytest.fixture(scope="module")
def labels(reading: Reading) -> list[dict[str, object]]:
    return reading.labels


def test_events_are_in_order_of_event_time(events: list[Event]) -> None:
    times = [event.time for event in events]
    assert times == sorted(times)
    assert times[-1] < END
    assert len({event.id for event in events}) == len(events)


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    first, again, other = (list(islice(one(seed, days=0.5).events(), 300)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_stream_can_be_read_twice(stream: World, events: list[Event]) -> None:
    assert [event["id"] for event in islice(stream.events(), 500)] == [event.id for event in events[:500]]


def test_labels_name_every_account_and_when_it_began(
    events: list[Event], labels: list[dict[str, object]], reading: Reading
) -> None:
    assert Counter(label["role"] for label in labels)["campaign"] == 20
    known = {(label["tenant_id"], label["account_id"]) for label in labels}
    assert len(known) == len(labels)
    assert {(event.tenant_id, event.account_id) for event in events} <= known
    begun = [str(label["first_campaign_time"]) for label in labels if "first_campaign_time" in label]
    (campaign,) = reading.scenario["campaigns"]
    assert min(begun) == campaign["first_extraction_time"]


def test_every_hard_negative_that_brings_tenants_is_there(labels: list[dict[str, object]]) -> None:
    families = {str(label["family"]) for label in labels} | {"agencies"}
    assert set(HARD_NEGATIVES) - families == {"outage", "model_launch"}
    assert len(HARD_NEGATIVES) >= 12


def test_contracted_work_is_on_the_allow_list(stream: World, labels: list[dict[str, object]]) -> None:
    contracted = {label["tenant_id"] for label in labels if label["family"] == "contracted_distillation"}
    assert set(scenario_of(stream)["allow_list"]) == contracted


def test_optional_parts_are_there_but_not_always(events: list[Event]) -> None:
    for part in ("client", "account", "prompt", "session_id", "language", "max_tokens", "endpoint"):
        present = sum(getattr(event, part) is not msgspec.UNSET for event in events) / len(events)
        assert 0.2 < present < 0.99, part


def test_missing_drops_further_parts() -> None:
    shares = []
    for missing in (0.0, 0.6):
        stream = world("test", 1, 0.01, END, missing=missing, hard_negatives=(), days=1.0)
        events = list(stream.events())
        shares.append(sum("prompt" in event for event in events) / len(events))
    assert shares[1] < 0.6 * shares[0]


@pytest.mark.parametrize(("regime", "share"), [("all", 1.0), ("half", 0.5), ("hard", 0.0)])
def test_links_are_carried_as_the_regime_says(regime: str, share: float) -> None:
    carried = carried_links(regime, ("payment",), 4_000, np.random.default_rng(1))
    assert not carried["payment"].any()
    for link in set(LINKS) - {"payment"}:
        assert abs(carried[link].mean() - share) < 0.03


def test_cards_are_shared_with_links_and_not_without() -> None:
    sharing = {}
    for regime in ("all", "hard"):
        stream = one(regime=regime, size=150)
        members = {label["account_id"] for label in labels_of(stream) if label["role"] == "campaign"}
        cards: dict[str, set[str]] = defaultdict(set)
        for event in stream.events():
            account = event.get("account")
            card = account.get("payment_fp") if isinstance(account, dict) else None
            if card and event["account_id"] in members:
                cards[card].add(str(event["account_id"]))
        sharing[regime] = max(map(len, cards.values()))
    assert sharing["all"] >= 4
    assert sharing["hard"] == 1


@pytest.mark.parametrize("load", ["natural", "round_robin", "heavy_tailed", "paused", "human_hours"])
def test_every_load_sends_about_its_share(load: str) -> None:
    stream = one(size=60, load=load, mix=0.3)
    labels_of(stream)
    (described,) = scenario_of(stream)["campaigns"]
    expected = 60 * 15 * 0.3 * 2.1  # accounts, requests a day, mix, days after its start
    assert 0.3 * expected < described["extractions"] < 2 * expected


def test_banned_accounts_fall_silent_and_heirs_take_over() -> None:
    stream = one(size=60, banned_share=0.5)
    labels = labels_of(stream)
    (described,) = scenario_of(stream)["campaigns"]
    (wave,) = described["waves"]
    heirs = {label["account_id"] for label in labels if "bridges" in label}
    assert (wave["banned"], wave["replacements"], len(heirs)) == (30, 30, 30)
    times = defaultdict(list)
    for event in stream.events():
        times[event["account_id"]].append(str(event["time"]))
    assert min(min(times[heir]) for heir in heirs if heir in times) > wave["time"]
    ended = sum(
        max(times[label["account_id"]], default="") < wave["time"][:15] + "9"
        for label in labels
        if label["role"] == "campaign" and label["account_id"] not in heirs
    )
    assert ended >= 25


def test_a_pivot_moves_extraction_to_the_new_model() -> None:
    shares = {}
    for is_pivoting in (False, True):
        stream = one(size=50, mix=0.5, is_pivoting=is_pivoting)
        members = {label["account_id"] for label in labels_of(stream) if label["role"] == "campaign"}
        late = [e for e in stream.events() if e["account_id"] in members and str(e["time"]) > "2025-06-02T06"]
        shares[is_pivoting] = sum(event["model"] == "large-3" for event in late) / len(late)
    assert shares[False] == 0
    assert shares[True] > 0.05


def test_a_split_campaign_has_many_accounts_in_few_tenants() -> None:
    members = [label for label in labels_of(one(size=60, tenants=4)) if label["role"] == "campaign"]
    assert (len(members), len({label["tenant_id"] for label in members})) == (60, 4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_queue_sends_each_prompt_once_but_for_retries(family: str) -> None:
    texts = [queue.next_item().text for queue in [Queue(family, load_materials(data_folder()), 3)] for _ in range(500)]
    assert len(set(texts)) > 0.9 * len(texts)


def test_cells_of_a_campaign_share_no_skeletons_and_each_item_is_sent_by_one() -> None:
    queue, sketches = Queue("rubric_grading", load_materials(data_folder()), 3), Sketches()
    found: dict[int, Counter[str]] = {1: Counter(), 2: Counter()}
    for number in range(400):
        cell = 1 + number % 2
        templates = sketches.sketched(queue.next_item(cell))["templates"]
        assert isinstance(templates, list)
        found[cell].update(templates)
    common = [{template for template, count in counts.items() if count > 10} for counts in found.values()]
    assert all(common)
    assert not common[0] & common[1]


def test_wrapped_items_share_skeletons() -> None:
    queue, sketches = Queue("rubric_grading", load_materials(data_folder()), 3), Sketches()
    found: Counter[str] = Counter()
    for _ in range(200):
        templates = sketches.sketched(queue.next_item())["templates"]
        assert isinstance(templates, list)
        found.update(templates)
    assert found.most_common(1)[0][1] > 20


def test_seeds_draw_different_wrappers() -> None:
    materials = load_materials(data_folder())
    first, second = (
        {wrapper.before + wrapper.after for wrapper in Queue("rewriting", materials, seed).wrappers} for seed in (1, 2)
    )
    assert first != second


def test_without_published_data_everything_is_made_up(tmp_path: Path) -> None:
    materials = load_materials(tmp_path)
    assert materials.origin == "generated"
    assert not set(materials.people) & set(materials.queues)
    assert len(materials.queued(len(materials.queues), list(range(len(materials.queues))))) > 10
    assert materials.asked(Random(1)) == materials.asked(Random(1))
    rhythms = load_rhythms(tmp_path)
    assert rhythms.shape[1] == SERIES_HOURS
    np.testing.assert_allclose(rhythms.mean(axis=1), 1.0)
    assert load_clients(tmp_path).weights.sum() == pytest.approx(1.0)
