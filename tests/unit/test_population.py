"""The made-up population: repeatable, within the contract, and with the two changes its labels name."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from stream_app.cli.generate import generate
from stream_app.detection.events import Event
from stream_app.simulate import Population, plan_population, population

END = datetime(2025, 6, 2, 15, tzinfo=UTC)
SPAN = timedelta(hours=3)


@pytest.fixture(scope="module")
def plan() -> Population:
    return plan_population(11, 0.25, END)


@pytest.fixture(scope="module")
def events(plan: Population) -> list[Event]:
    return [msgspec.convert(event, Event) for event in plan.events()]


def onset_and_tenant(plan: Population, family: str) -> tuple[datetime, str]:
    scenario: dict[str, Any] = plan.scenario()
    expected = scenario["expect"][family]
    return datetime.fromisoformat(expected["onset"]), expected["tenant_id"]


def split(events: list[Event], tenant_id: str, onset: datetime) -> tuple[list[Event], list[Event]]:
    ours = [event for event in events if event.tenant_id == tenant_id]
    return [event for event in ours if event.time < onset], [event for event in ours if event.time >= onset]


def test_size_and_span(events: list[Event]) -> None:
    assert 12_000 < len(events) < 22_000
    assert len({event.id for event in events}) == len(events)
    assert min(event.time for event in events) >= END - SPAN
    assert events[-1].time == max(event.time for event in events) == END


def test_a_small_share_arrives_late_by_at_most_twenty_seconds(events: list[Event]) -> None:
    newest = events[0].time
    delays = []
    for event in events:
        if event.time < newest:
            delays.append(newest - event.time)
        newest = max(newest, event.time)
    assert 0.005 < len(delays) / len(events) < 0.05
    assert max(delays) <= timedelta(seconds=20)


def test_the_noisy_tenant_goes_to_some_three_hundred_times_its_rate(plan: Population, events: list[Event]) -> None:
    onset, tenant_id = onset_and_tenant(plan, "noisy")
    before, after = split(events, tenant_id, onset)
    rate_before = len(before) / ((onset - (END - SPAN)).total_seconds() / 60)
    rate_after = len(after) / ((END - onset).total_seconds() / 60)
    assert 6 < rate_before < 10
    assert END - onset == timedelta(minutes=2)
    assert 2_300 < rate_after < 2_500
    assert 230 < rate_after / rate_before < 350


def test_the_shape_tenant_keeps_its_rate_and_changes_its_tokens(plan: Population, events: list[Event]) -> None:
    onset, tenant_id = onset_and_tenant(plan, "token_shape")
    before, after = split(events, tenant_id, onset)
    assert END - onset == timedelta(minutes=40)
    assert 0.5 < (len(after) / 40) / (len(before) / 140) < 2
    assert median(event.input_tokens for event in after) < 40 < median(event.input_tokens for event in before)
    assert all(event.output_tokens == event.max_tokens for event in after if event.status_code == 200)
    assert median(event.output_tokens for event in before) < median(event.output_tokens for event in after)


def test_rates_have_a_heavy_tail_and_a_ceiling(plan: Population, events: list[Event]) -> None:
    special = {onset_and_tenant(plan, family)[1] for family in ("noisy", "token_shape")}
    sizes = sorted(Counter(event.tenant_id for event in events if event.tenant_id not in special).values())
    busiest_tenth = sizes[-len(sizes) // 10 :]
    assert sum(busiest_tenth) > 0.4 * sum(sizes)
    assert sizes[-1] / SPAN.total_seconds() < 5


def test_requests_of_a_session_come_close_together(events: list[Event]) -> None:
    sessions = Counter(event.session_id for event in events if event.session_id is not msgspec.UNSET)
    assert 3 < sum(sessions.values()) / len(sessions) < 9


def test_optional_parts_are_there_but_not_always(events: list[Event]) -> None:
    for part in ("client", "account", "prompt", "session_id", "latency_ms"):
        present = sum(getattr(event, part) is not msgspec.UNSET for event in events) / len(events)
        assert 0.15 < present < 0.99, part
    assert 0.01 < sum(event.status_code != 200 for event in events) / len(events) < 0.06
    assert 1 < max(Counter(tenant for tenant, _ in {(e.tenant_id, e.account_id) for e in events}).values()) <= 20


def test_every_account_has_one_label(plan: Population, events: list[Event]) -> None:
    labels = list(plan.labels())
    accounts = {(label["tenant_id"], label["account_id"]) for label in labels}
    assert len(accounts) == len(labels)
    assert {(event.tenant_id, event.account_id) for event in events} <= accounts
    assert {label["role"] for label in labels} == {"benign"}
    assert {label["tenant_id"] for label in labels if label["family"] == "noisy"} == {
        onset_and_tenant(plan, "noisy")[1]
    }


def test_a_plan_can_be_read_twice(plan: Population) -> None:
    assert list(islice(plan.events(), 200)) == list(islice(plan.events(), 200))


def test_span_onset_and_end_are_the_callers() -> None:
    end = END + timedelta(microseconds=123_456)
    stream = [msgspec.convert(event, Event) for event in population(5, 0.05, end, 1_200, 20)]
    assert stream[-1].time == end.replace(microsecond=123_000)
    busiest, count = Counter(
        event.tenant_id for event in stream if event.time > end - timedelta(seconds=20)
    ).most_common(1)[0]
    assert 790 < count < 820
    assert sum(event.tenant_id == busiest for event in stream if event.time <= end - timedelta(seconds=20)) < 400
    assert min(event.time for event in stream) >= end - timedelta(seconds=1_201)


def run(out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(generate, ["population", "--scale", "0.05", "--out", str(out), *arguments])


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second", "other")]
    for folder, seed in zip(folders, ("1", "1", "2"), strict=True):
        result = run(folder, "--seed", seed)
        assert result.exit_code == 0, result.output
    first, second, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert set(first) == {"events.jsonl", "labels.jsonl", "scenario.json"}
    assert first == second
    assert first["events.jsonl"] != other["events.jsonl"]


def test_files_have_the_form_other_programs_read(tmp_path: Path) -> None:
    assert run(tmp_path, "--seed", "3", "--end", "2024-02-29T00:00:00Z").exit_code == 0
    decoder = msgspec.json.Decoder(Event)
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    assert decoder.decode(lines[-1]).time == datetime(2024, 2, 29, tzinfo=UTC)
    label = json.loads((tmp_path / "labels.jsonl").read_text().splitlines()[0])
    assert set(label) == {"tenant_id", "account_id", "campaign", "role", "family"}
    scenario = json.loads((tmp_path / "scenario.json").read_text())
    assert (scenario["name"], scenario["seed"], scenario["scale"], scenario["campaigns"]) == ("population", 3, 0.05, [])
    assert set(scenario["expect"]) == {"noisy", "token_shape"}


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf", "x"])
def test_a_bad_scale_is_a_usage_error(tmp_path: Path, scale: str) -> None:
    result = run(tmp_path, "--seed", "1", "--scale", scale)
    assert result.exit_code == 2
    assert "--scale" in result.stderr


def test_an_unknown_scenario_names_the_known_ones(tmp_path: Path) -> None:
    result = CliRunner().invoke(generate, ["nonsense", "--seed", "1", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "population" in result.stderr.splitlines()[-1]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(tmp_path / "file" / "below", "--seed", "1")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
