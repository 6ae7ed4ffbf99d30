"""Two policies over the same history: who is treated differently, and what it comes to."""

from pathlib import Path
from typing import Any

import orjson
import yaml
from click.testing import CliRunner

from stream_app.cli import main
from stream_app.detection.policy import Policy
from stream_app.what_if.comparisons import Change, Comparison, Labels, compare, rule_differences
from stream_app.what_if.courses import run_course
from stream_app.what_if.processes import run_both
from tests.unit.streams import POLICY, POLICY_TEXT, in_order, policy, steady

HOUR = 3_600


def with_floor(floor: int, version: str = "test-2", **changes: Any) -> Policy:
    """The policy of the tests with another floor for all counts of requests."""
    content = POLICY.model_dump()
    for code in ("requests_10s", "requests_60s", "requests_600s"):
        content["features"][code]["floor"] = floor
    return Policy.model_validate(content | {"version": version, **changes})


def history() -> list[bytes]:
    """Two known tenants, one of which works in earnest for five minutes, and much later a third."""
    events = in_order(
        steady(0, 3 * HOUR, 6, "calm"),
        steady(0, 3 * HOUR, 6, "loud"),
        steady(2 * HOUR, 2 * HOUR + 300, 400, "loud", "surge"),
    )
    return [orjson.dumps(event) for event in events]


def compared(old: Policy, new: Policy, labels: Labels | None = None) -> Comparison:
    values = history()
    return compare((old, run_course(old, values)), (new, run_course(new, values)), labels)


def test_the_same_policy_changes_nothing() -> None:
    found = compared(POLICY, POLICY)
    assert (found.subjects, found.rules) == ([], [])
    assert found.old == found.new
    assert found.old.denied == 1


def test_a_milder_policy_releases_and_a_stricter_one_denies_anew() -> None:
    mild = with_floor(1_000_000)
    (released,) = compared(POLICY, mild).subjects
    assert (released.key, released.change) == ("tenant:loud", Change.RELEASED)
    assert released.old is not None
    assert released.old.action == "block"
    assert released.old.denied_s > 300
    assert "requests" in released.cause.reasons[0].code
    (denied,) = compared(mild, POLICY).subjects
    assert (denied.key, denied.change) == ("tenant:loud", Change.NEWLY_DENIED)


def test_how_long_somebody_is_denied_ends_with_the_history() -> None:
    (released,) = compared(POLICY, with_floor(1_000_000)).subjects
    assert released.old is not None
    denied = [spell for spell in released.old.spells if spell.action != "observe"]
    assert released.old.denied_s == sum(spell.until_s - spell.from_s for spell in denied)
    assert released.old.denied_s <= HOUR


def test_labels_tell_benign_hits_from_others() -> None:
    labels = Labels(frozenset({"calm"}), frozenset({"loud"}))
    found = compared(POLICY, with_floor(1_000_000), labels)
    assert (found.old.benign_denied, found.old.campaign_denied) == (0, 1)
    assert (found.new.benign_denied, found.new.campaign_denied) == (0, 0)
    assert found.truth_of("loud") == "campaign"


def test_a_policy_in_shadow_is_told_as_if_enforced_but_a_rung_in_shadow_stays_so() -> None:
    assert compared(policy(mode="shadow"), POLICY).subjects == []
    content = POLICY.model_dump()
    for rung in ("throttle", "block"):
        content["rungs"][rung]["mode"] = "shadow"
    (changed,) = compared(POLICY, Policy.model_validate(content)).subjects
    assert changed.change is Change.RELEASED


def test_the_harm_budget_s_use_is_compared() -> None:
    closed = policy(harm_budgets={"subjects": {"share": 1e-9, "at_least": 0}})
    found = compared(POLICY, closed)
    assert (found.old.harm_denials, found.old.harm_withheld, found.old.harm_fullest) == (1, 0, 0.1)
    assert found.new.harm_denials == 0
    assert found.new.harm_withheld > 0
    assert found.counts()[Change.RELEASED] == 1


def test_rules_that_differ_are_named() -> None:
    found = list(rule_differences(POLICY, with_floor(40)))
    assert ("features.requests_10s.floor", "30.0", "40.0") in found
    assert all(name.startswith("features.requests_") for name, _, _ in found)


def test_two_processes_find_what_one_does() -> None:
    values, mild = history(), with_floor(1_000_000)
    before, after = run_both(POLICY, mild, iter(values))
    before.summary.duration_s = before.summary.events_per_s = 0.0
    expected = run_course(POLICY, values)
    expected.summary.duration_s = expected.summary.events_per_s = 0.0
    assert before == expected
    assert after.subjects == run_course(mild, values).subjects


def test_the_command_writes_a_page_and_a_result(tmp_path: Path) -> None:
    new, old, events, labels = (tmp_path / name for name in ("new.yaml", "old.yaml", "events.jsonl", "labels.jsonl"))
    old.write_text(POLICY_TEXT)
    new.write_text(yaml.safe_dump(with_floor(1_000_000, "<b>mild").model_dump(mode="json", exclude_none=True)))
    events.write_bytes(b"\n".join(history()))
    rows = [{"tenant_id": name, "account_id": "a", "campaign": None, "role": "benign"} for name in ("calm", "loud")]
    labels.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    called = ["policy", "what-if", str(new), "--old", str(old), "--against", str(events), "--labels", str(labels)]
    done = CliRunner().invoke(main, [*called, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "released" in done.output
    page = (tmp_path / "out" / "what-if.html").read_text()
    assert "&lt;b&gt;mild" in page
    assert "<b>mild" not in page
    assert "tenant loud" in page
    result = orjson.loads((tmp_path / "out" / "what-if.json").read_bytes())
    assert result["old"]["benign_denied"] == 1
    assert [one["subject"] for one in result["subjects"]] == ["tenant:loud"]


def test_wrong_calls_are_one_line(tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text(POLICY_TEXT)
    for against in ("missing.jsonl", "kafka://nowhere:1/?days=3", "kafka://:x/?hours=-1"):
        done = CliRunner().invoke(main, ["policy", "what-if", str(good), "--against", against])
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
    done = CliRunner().invoke(main, ["policy", "what-if", str(tmp_path / "none.yaml"), "--against", "x"])
    assert done.exit_code == 2
