"""Scores against labels made by hand: every count can be checked on the fingers."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from stream_app.cli.evaluate import evaluate as command
from stream_app.evaluation import Decision, Label, Report, Scenario, Scores, evaluate
from stream_app.evaluation.records import Expected, Member, Played

T0 = datetime(2025, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def labels(**campaigns: int) -> list[Label]:
    """So many accounts per campaign, each alone in its tenant, and twenty benign ones."""
    found = [Label(f"b{n}", "a", None, "benign") for n in range(20)]
    for name, count in campaigns.items():
        found += [Label(f"{name}{n}", "a", name, "campaign", "f", T0 + n * HOUR) for n in range(count)]
    return found


def scenario(*names: str, **parts: object) -> Scenario:
    played = [Played(name, first_extraction_time=T0, counted_extraction_time=T0 + 5 * HOUR) for name in names]
    return replace(Scenario("test", 1, 1.0, played), **parts)


def report(name: str, tenants: list[str], role: str = "member", kind: str = "distillation", **parts: object) -> Report:
    members = [Member(tenant, 0.9, role, T0 + 4 * HOUR) for tenant in tenants]
    return replace(Report(name, kind, "confirmed", 0.9, T0 + 3 * HOUR, members), **parts)


def decided(tenant: str, action: str = "block", **parts: object) -> Decision:
    return replace(Decision("tenant", tenant, action, T0 + HOUR, tenant_id=tenant), **parts)


def tenants(name: str, count: int, start: int = 0) -> list[str]:
    return [f"{name}{n}" for n in range(start, start + count)]


def score(reports: list[Report], decisions: list[Decision] = [], **campaigns: int) -> Scores:  # noqa: B006
    return evaluate(labels(**campaigns), scenario(*campaigns), reports, decisions)


def test_a_campaign_found_in_part() -> None:
    scores = score([report("k", [*tenants("c", 6), "b1", "b2"], "act")], c=10)
    (campaign,) = scores.per_campaign
    assert (scores.found, scores.false, scores.fragmented, scores.merged) == (1, 0, 0, 0)
    assert (campaign.member.accounts, campaign.member.recall, campaign.member.precision) == (8, 0.6, 0.75)
    assert (campaign.act, campaign.block.accounts, campaign.block.precision) == (campaign.member, 0, None)
    assert (campaign.delay_s, campaign.delay_counted_s) == (3 * 3_600, -2 * 3_600)
    assert campaign.in_time_recall == 1.0  # the first six accounts have extracted by then


def test_members_who_joined_too_late_are_not_in_time() -> None:
    late = Report(
        "k", "distillation", "confirmed", 1, T0, [Member("c0", 1, "member", T0 + 5 * HOUR + timedelta(seconds=601))]
    )
    (campaign,) = score([late], c=10).per_campaign
    assert (campaign.member.recall, campaign.in_time_recall) == (0.1, 0.0)


def test_accounts_that_have_not_begun_cost_no_recall_and_no_precision() -> None:
    sleeping = Label("c9", "a", "c", "campaign")
    scores = evaluate([*labels(c=2), sleeping], scenario("c"), [report("k", ["c0", "c1", "c9"])], [])
    assert (scores.per_campaign[0].member.recall, scores.per_campaign[0].member.precision) == (1.0, 1.0)


def test_half_benign_is_false() -> None:
    scores = score([report("k", [*tenants("c", 3), "b1", "b2", "b3"])], c=10)
    assert (scores.found, scores.false, scores.false_ids) == (0, 1, ["k"])


def test_less_than_a_tenth_does_not_find_it() -> None:
    scores = score([report("k", ["c0"])], c=11)
    assert (scores.found, scores.false) == (0, 0)


def test_two_ids_fragment_and_one_id_merges() -> None:
    fragmented = score([report("k", tenants("c", 5)), report("l", tenants("c", 5, 5))], c=10)
    assert (fragmented.found, fragmented.fragmented, fragmented.merged) == (1, 1, 0)
    merged = score([report("k", [*tenants("c", 6), *tenants("d", 5)])], c=10, d=10)
    assert (merged.found, merged.fragmented, merged.merged, merged.merged_ids) == (1, 0, 1, ["k"])


def test_cohorts_and_retracted_reports_find_nothing_but_alarm() -> None:
    scores = score([report("k", tenants("c", 9), kind="cohort"), report("l", ["b1"], kind="cohort")], c=10)
    assert (scores.found, scores.false, scores.cohorts, scores.per_campaign[0].alarm_delay_s) == (0, 0, 2, 10_800.0)
    retracted = Report("k", "distillation", "retracted", 1, T0, [])
    assert score([report("k", tenants("c", 9)), retracted], c=10).found == 1


def test_the_last_report_of_an_id_counts() -> None:
    scores = score([report("k", tenants("b", 9)), report("k", tenants("c", 9))], c=10)
    assert (scores.found, scores.false) == (1, 0)


def test_contracted_work_may_be_seen_and_not_touched() -> None:
    played = scenario(allow_list=tenants("b", 5))
    seen = evaluate(labels(), played, [report("k", tenants("b", 6))], [])
    assert (seen.false, seen.allowed, seen.harm.allow_listed_touched) == (0, 1, 0)
    assert evaluate(labels(), played, [], [decided("b0", "throttle")]).harm.allow_listed_touched == 1


def test_harm_counts_tenants_once_and_detectors_only() -> None:
    decisions = [
        decided("b0"),
        decided("b0", "throttle", campaign_id="k"),
        decided("b1", "observe"),
        decided("b2", "challenge", simulated=True),
        decided("b3", origin="operator"),
        decided("c0"),
    ]
    scores = score([], decisions, c=2)
    harm = scores.harm
    assert (harm.benign_tenants, harm.touched, harm.throttled, harm.challenged, harm.blocked) == (20, 2, 1, 1, 1)
    assert (harm.by_campaigns, harm.touched_per_100k, harm.blocked_per_100k) == (1, 10_000, 5_000)
    assert (scores.per_campaign[0].denied_recall, scores.per_campaign[0].blocked_recall) == (0.5, 0.5)


def test_a_tenant_with_many_accounts_is_meant_as_a_whole_or_by_account() -> None:
    several = [Label("t", f"a{n}", "c", "campaign", "f", T0) for n in range(4)]
    whole = evaluate(several, scenario("c"), [report("k", ["t"])], [])
    one = Report("k", "distillation", "confirmed", 1, T0, [Member("t", 1, "act", T0, account_id="a1")])
    part = evaluate(several, scenario("c"), [one], [Decision("account", "t/a1", "block", T0, "t", "a1")])
    assert (whole.per_campaign[0].member.recall, part.per_campaign[0].act.recall) == (1.0, 0.25)
    assert part.per_campaign[0].blocked_recall == 0.25


def test_heirs_of_banned_accounts() -> None:
    heirs = [Label(f"h{n}", "a", "c", "campaign", "f", T0, bridges=["client"]) for n in range(2)]
    scores = evaluate([*labels(c=3), *heirs], scenario("c"), [report("k", ["c0", "c1", "h1"])], [])
    assert scores.per_campaign[0].heirs_recall == 0.5


def test_a_single_tenant_is_found_by_its_first_denial_after_onset() -> None:
    played = scenario(expect={"noisy": Expected("b7", T0 + HOUR / 2), "shape": Expected("b8", T0)})
    scores = evaluate(labels(), played, [], [decided("b7", "throttle")])
    assert [(subject.name, subject.is_found, subject.delay_s) for subject in scores.subjects] == [
        ("noisy", True, 1_800.0),
        ("shape", False, None),
    ]
    assert (scores.harm.touched, scores.harm.benign_tenants) == (0, 18)


LABEL = (
    '{"tenant_id":"t","account_id":"a","campaign":"c","role":"campaign","first_campaign_time":"2025-06-01T00:00:00Z"}'
)
SCENARIO = (
    '{"name":"n","seed":1,"scale":1,"campaigns":[{"campaign":"c","first_extraction_time":"2025-06-01T00:00:00Z"}]}'
)
CAMPAIGN = (
    '{"campaign_id":"k","kind":"distillation","status":"confirmed","confidence":1,"first_alert_time":"2025-06-01T01:00:00Z",'
    '"members":[{"tenant_id":"t","posterior":1,"role":"act","joined_at":"2025-06-01T01:00:00Z"}],"aliases":[]}'
)


def run(folder: Path, *arguments: str, campaigns: str = CAMPAIGN) -> Result:
    (folder / "labels.jsonl").write_text(LABEL + "\n")
    (folder / "scenario.json").write_text(SCENARIO)
    (folder / "campaigns.jsonl").write_text(campaigns + "\n")
    return CliRunner().invoke(command, [str(folder), "--campaigns", str(folder / "campaigns.jsonl"), *arguments])


def test_the_command_writes_one_object_or_a_table(tmp_path: Path) -> None:
    as_json = run(tmp_path, "--json")
    assert as_json.exit_code == 0, as_json.output
    scores = json.loads(as_json.stdout)
    assert (scores["found"], scores["per_campaign"][0]["act"]["recall"]) == (1, 1.0)
    assert "1 of 1 campaigns found, 0 false" in run(tmp_path).stdout


@pytest.mark.parametrize(
    ("campaigns", "named"), [("{", "campaigns.jsonl:1"), ('{"campaign_id":"k"}', "missing required field `kind`")]
)
def test_a_bad_line_is_named_in_one_line(tmp_path: Path, campaigns: str, named: str) -> None:
    result = run(tmp_path, campaigns=campaigns)
    assert result.exit_code == 1
    assert named in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_file_and_nothing_to_score_are_usage_errors(tmp_path: Path) -> None:
    absent = run(tmp_path, "--decisions", str(tmp_path / "absent"))
    assert (absent.exit_code, len(absent.stderr.splitlines())) == (2, 1)
    assert CliRunner().invoke(command, [str(tmp_path)]).exit_code == 2
