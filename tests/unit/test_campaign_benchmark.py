"""The campaign benchmark's own logic: rivals on a handful of events, groups over time, a page of few results."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from benchmarks.campaigns.__main__ import read
from benchmarks.campaigns.acceptance import verdicts
from benchmarks.campaigns.account_rivals import LIMIT_PER_MINUTE, mmd_windows, prada, rate_limit
from benchmarks.campaigns.charts import chart
from benchmarks.campaigns.group_rivals import (
    COMPONENT,
    POPULAR,
    GroupRival,
    acting_together,
    components,
    dense_blocks,
    shared_payment,
)
from benchmarks.campaigns.groups import followed
from benchmarks.campaigns.observations import HOUR_MS, Ints, Recorder, Seen
from benchmarks.campaigns.outcomes import ALONE, MMD, STILLWATCH, Outcome, outcomes
from benchmarks.campaigns.plans import PLANS, REPORTED_SEEDS, SIZES, TUNING_SEEDS, Plan, Size, plans_at, world_of
from benchmarks.campaigns.results import page, write

BEGIN_S = 1_700_000_000


def event(tenant: str, at_s: float = 0.0, *, prompt: tuple[int, str] | None = None, **links: str) -> dict[str, object]:
    """An event of a tenant; ``prompt`` is its SimHash and skeleton."""
    time = datetime.fromtimestamp(BEGIN_S + at_s, tz=UTC).isoformat()
    account = {name: value for name, value in links.items() if name in {"payment_fp", "signup_fp"}}
    client = {name: value for name, value in links.items() if name in {"ja4", "ip_prefix"}}
    told: dict[str, object] = {"time": time, "tenant_id": tenant, "account": account, "client": client}
    return told | ({"prompt": {"simhash": f"{prompt[0]:016x}", "templates": [prompt[1]]}} if prompt else {})


def seen(events: Iterable[dict[str, object]]) -> Seen:
    recorder = Recorder()
    for one in events:
        recorder.add(one)
    return recorder.seen()


def named(rival: Callable[[Seen], list[Ints]], told: Seen) -> list[set[str]]:
    return [{told.tenants[tenant] for tenant in group.tolist()} for group in rival(told)]


def tenants(count: int, letter: str = "t") -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def test_reported_seeds_are_not_those_tuned_on() -> None:
    assert len(REPORTED_SEEDS) >= 3
    assert not set(REPORTED_SEEDS) & set(TUNING_SEEDS)


def test_a_card_of_ten_tenants_is_named_and_one_of_nine_is_not() -> None:
    crowd = [event(name, payment_fp="ten") for name in tenants(10, "a")]
    crowd += [event(name, payment_fp="nine") for name in tenants(9, "b") * 2]
    assert named(shared_payment, seen(crowd)) == [set(tenants(10, "a"))]


def test_components_chain_over_kinds_of_links_but_not_over_popular_values() -> None:
    half = COMPONENT // 2
    chained = [event(name, payment_fp="card") for name in tenants(half, "a")]
    chained += [event(name, signup_fp="device") for name in tenants(half, "b")]
    popular = [event(name, ja4="everybody's") for name in tenants(POPULAR + 1, "c")]
    bridge = event("a0", signup_fp="device", ja4="everybody's")
    assert named(components, seen([*chained, *popular, bridge])) == [{*tenants(half, "a"), *tenants(half, "b")}]


def test_who_does_the_same_in_the_same_hours_acts_together() -> None:
    def acts(hours: tuple[float, ...]) -> list[dict[str, object]]:
        crowd = tenants(COMPONENT)
        return [
            event(name, hour * 3_600 + place, prompt=(1, "w")) for hour in hours for place, name in enumerate(crowd)
        ]

    together = acts((0.0, 5.0))
    assert named(acting_together, seen(together)) == [set(tenants(COMPONENT))]
    assert named(acting_together, seen(acts((0.0,)))) == []  # once is chance
    apart = [event(name, 3_600 * place, prompt=(1, "w")) for place, name in enumerate(tenants(COMPONENT))]
    assert named(acting_together, seen(apart)) == []


def test_a_dense_block_is_taken_out_of_what_is_not() -> None:
    rng = Random(1)
    fields = ("payment_fp", "signup_fp", "ja4", "ip_prefix")
    block = [
        event(name, 0.0, prompt=None, **{field: f"{field}{turn}" for field in fields})
        for name in tenants(40, "d")
        for turn in range(6)
    ]
    others = [event(name, ip_prefix=f"p{rng.randrange(300)}") for name in tenants(300) for _ in range(3)]
    assert named(dense_blocks, seen([*block, *others])) == [set(tenants(40, "d"))]
    assert named(dense_blocks, seen(others)) == []


def test_the_rate_limit_counts_within_a_minute() -> None:
    quick = [event("quick", 0.5 * number) for number in range(LIMIT_PER_MINUTE + 1)]
    slow = [event("slow", 2.0 * number) for number in range(LIMIT_PER_MINUTE + 1)]
    told = seen([*quick, *slow])
    assert rate_limit(told) == {told.tenants.index("quick"): round((BEGIN_S + 0.5 * LIMIT_PER_MINUTE) * 1_000)}


def test_prada_names_distances_of_two_kinds_only() -> None:
    rng = Random(2)
    people = [event("person", number, prompt=(rng.getrandbits(64), "")) for number in range(40)]
    sweeps = [rng.getrandbits(64)]
    sweeps += [sweeps[0] ^ (1 << 4) if number % 13 else sweeps[0] ^ 0b110 for number in range(40)]
    told = seen([*people, *(event("sweep", 100 + at, prompt=(value, "")) for at, value in enumerate(sweeps))])
    assert {told.tenants[tenant] for tenant in prada(told)} <= {"sweep"}


def test_windows_of_other_prompts_are_odd() -> None:
    rng = Random(3)
    usual = [event("t", at, prompt=(rng.getrandbits(64), "")) for at in range(16_000)]
    mask = (1 << 40) - 1
    other = [event("t", at, prompt=(rng.getrandbits(64) & mask, "")) for at in range(16_000, 18_000)]
    windows = mmd_windows(seen([*usual, *other]))
    assert windows.is_odd[-1]
    assert windows.is_odd[:-2].mean() < 0.5


def test_a_group_that_grows_keeps_its_id_and_its_first_alert() -> None:
    joining = [event(name, 600 * place, payment_fp="card") for place, name in enumerate(tenants(30))]
    reports, decisions = followed(GroupRival("cards", 1, shared_payment), seen(joining))
    assert len(reports) == 1
    assert len(reports[0].members) == len(decisions) == 30
    assert (reports[0].first_alert_time.timestamp() - BEGIN_S) * 1_000 == 2 * HOUR_MS  # twelve had joined by then
    assert {one.action for one in decisions} == {"challenge"}


@pytest.mark.parametrize("plan", PLANS[:: len(PLANS) // 6], ids=lambda plan: plan.key)
def test_plans_are_what_they_say(plan: Plan) -> None:
    scenario: dict[str, Any] = world_of(plan, 1, Size(400, 0.5)).scenario()
    played = scenario["campaigns"]
    assert len(played) == plan.campaigns
    for campaign in played:
        assert campaign["accounts"] == (plan.accounts or (40 if plan.campaigns == 1 else 20))
        for name in ("regime", "mix", "load"):
            assert campaign[name] == plan.asked.get(name, campaign[name])


def test_no_stream_is_played_under_two_names() -> None:
    assert "sizes/half, 200 accounts" not in {plan.key for plan in plans_at(Size(2_000, 1.0))}
    assert "sizes/half, 24,000 accounts" in {plan.key for plan in plans_at(SIZES["large"])}


def test_one_stream_gives_a_line_a_detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STILLWATCH_SHARED_DATA", str(tmp_path))
    monkeypatch.setitem(SIZES, "tiny", Size(100, 0.8))
    told = outcomes(PLANS[0], 1, "tiny", "abc", rivals=True)
    names = [one.detector for one in told]
    assert names[:2] == [STILLWATCH, ALONE]
    assert names[-1] == MMD
    assert len(set(names)) == len(names) == 9
    assert len({(one.events, one.benign, one.begun) for one in told}) == 1
    assert any(one.touched for one in told)
    assert all(sum(one.touched_as.values()) == one.touched + one.allowed_touched for one in told)
    path = tmp_path / "campaigns.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(told))
    assert read(path) == told


def outcome(plan: str, seed: int, member: float, **others: object) -> Outcome:
    plain = Outcome(
        plan=plan,
        seed=seed,
        size="small",
        commit="abc",
        events=1,
        benign=2_000,
        campaigns=1,
        begun=10,
        extractions=20,
        found=1,
        member=(member, 1.0),
        act=(0.5, 1.0),
        named=(member, 1.0),
        detector=STILLWATCH,
        touched=1,
        touched_before=2,
    )
    return replace(plain, **others)


def test_the_page_is_drawn_from_what_is_there_and_says_what_is_missing(tmp_path: Path) -> None:
    key = "regimes/half, mix 10 %"
    told = [outcome(key, 1, 0.5), outcome(key, 2, 0.7), outcome(key, 1, 0.9), outcome("missing/30 % of fields", 1, 0.3)]
    text = page(told, "small", (1, 2))
    assert "| half, mix 10 % | 2 | 2 of 2 |" in text
    assert "80% (70% to 90%); 100.0%" in text  # of one stream the newest line counts
    assert "100, 50 |" in text
    assert "- missing, seed 2: 15 % of fields; 30 % of fields" in text
    assert "regimes, seed 2: all, mix 10 %; hard, mix 10 %" in text
    assert "## Rivals" not in text
    write(tmp_path, told, "small", (1, 2))
    assert "campaigns-missing.svg" in text
    assert (tmp_path / "campaigns-missing.svg").read_text().startswith("<svg")


def met(told: list[Outcome]) -> dict[str, bool | None]:
    by_plan = {(one.plan, one.detector): [one] for one in told}
    return {verdict.asked: verdict.is_met for verdict in verdicts(by_plan)}


def test_what_was_not_run_is_neither_met_nor_missed() -> None:
    assert set(met([]).values()) == {None}


def test_the_worst_link_decides_and_rivals_are_named_only_when_as_harmless() -> None:
    told = [outcome(f"ablations/{link}", 1, share) for link, share in (("payment", 0.95), ("client", 0.85))]
    told.append(outcome("ablations/client", 1, 0.9, detector="harmless"))
    said = met(told)
    assert said["any one link missing: members ≥ 90 %"] is False
    rivals = "every rival beaten on recall at equal or lower benign harm, or the exception named"
    assert said[rivals] is False
    harmful = outcome("ablations/client", 1, 0.9, detector="harmful", touched=2)
    assert met([*told[:2], harmful])[rivals] is True


def test_a_chart_spans_its_points() -> None:
    drawn = chart("Recall", {"one": [(1.0, 0.0), (100.0, 1.0)]})
    assert 'd="M60.0 260.0L520.0 20.0"' in drawn
