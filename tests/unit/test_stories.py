"""Decisions in words."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from stream_app.detection.decisions import (
    Action,
    Budget,
    Decision,
    Evidence,
    Limit,
    Listing,
    ModelRef,
    PolicyRef,
    Reason,
    Source,
    tenant_subject,
)
from stream_app.detection.features import FEATURES, Feature
from stream_app.detection.operators import OperatorRecord
from stream_app.quantities import duration, rarity
from stream_app.stories import (
    Background,
    headline,
    levels_told,
    seen,
    shares,
    subject_name,
    tell,
    track_title,
)
from tests.unit.streams import policy

DECISION_EXAMPLES = Path(__file__).parents[2] / "schemas" / "decision"

THROTTLE = Decision(
    decision_id="7d793037a0760186574b0282",
    scope="tenant",
    subject="acme",
    tenant_id="acme",
    action=Action.THROTTLE,
    simulated=False,
    origin="detector",
    reasons=[
        Reason("requests_60s", 612.0, 35.4, "requests", 60, 0.99995),
        Reason("output_tokens_600s", 90_000.0, 41_000.0, "tokens", 600, 0.9991),
    ],
    counterfactual="would not have fired with requests_60s ≤ 184",
    limit=Limit(requests_per_minute=120, tokens_per_minute=40_000),
    policy=PolicyRef("default-1", "throttle"),
    model=ModelRef("log_baseline", "1"),
    evidence=Evidence(
        events=614,
        first_time="2026-03-02T14:57:10.500Z",
        last_time="2026-03-02T14:58:10Z",
        sources=[Source("stillwatch.requests.v1", 3, 1200, 1811)],
        sample_event_ids=["r-1", "r-2"],
    ),
    issued_at="2026-03-02T14:58:10.000Z",
    expires_at="2026-03-02T15:13:10.000Z",
    revision=1811,
    supersedes="5d41402abc4b2a76b9719d91",
    runbook_url="https://wiki.example/throttled",
)


def test_a_throttle_is_told_with_cause_consequence_and_evidence() -> None:
    assert tell(THROTTLE).splitlines() == [
        "tenant acme: throttle: 612 requests in 60 s, 17 times the usual 35.4",
        "",
        "Decision     throttle: at most 120 requests and 40,000 tokens a minute",
        "Main reason  612 requests in 60 s, 17 times the usual 35.4; one ordinary window in 20,000 gets that far; "
        "59% of the score",
        "Also         90,000 output tokens in 10 min, 2.2 times the usual 41,000; "
        "one ordinary window in 1,100 gets that far; 41% of the score",
        "Otherwise    with at most 184 requests in 60 s this would not have been decided",
        "Lasts        15 min, from 2026-03-02 14:58:10 UTC to 2026-03-02 15:13:10 UTC",
        "Decided by   detector (log_baseline 1); policy default-1, rung throttle",
        "Evidence     614 events, 2026-03-02 14:57:10 UTC to 2026-03-02 14:58:10 UTC",
        "Found in     topic stillwatch.requests.v1, partition 3, offsets 1200 to 1811",
        "Examples     r-1, r-2",
        "Replaces     5d41402abc4b2a76b9719d91",
        "Runbook      https://wiki.example/throttled",
        "Id           7d793037a0760186574b0282, revision 1811",
    ]


def test_a_simulated_decision_says_that_nothing_was_enforced() -> None:
    simulated = replace(THROTTLE, simulated=True)
    assert headline(simulated).startswith("tenant acme: throttle (simulated): ")
    assert "throttle (simulated, so nothing was enforced): at most 120 requests" in tell(simulated)
    assert "simulated" not in tell(THROTTLE)


@pytest.mark.parametrize(
    ("action", "consequence"),
    [
        (Action.ALLOW, "nothing is denied"),
        (Action.OBSERVE, "a person should look"),
        (Action.CHALLENGE, "must prove itself"),
        (Action.BLOCK, "every request is denied"),
    ],
)
def test_every_action_says_what_follows(action: Action, consequence: str) -> None:
    assert consequence in tell(replace(THROTTLE, action=action, limit=msgspec.UNSET))


def test_a_release_and_an_operators_word_have_no_score() -> None:
    release = replace(THROTTLE, action=Action.ALLOW, reasons=[])
    assert "back within the usual range" in tell(release)
    assert headline(release) == "tenant acme: allow"
    assert "the word of the operator, not a score" in tell(replace(release, origin="operator"))


def test_a_release_names_what_it_ends_and_a_decision_its_neighbours() -> None:
    release = replace(THROTTLE, decision_id="d2", action=Action.ALLOW, reasons=[], counterfactual=msgspec.UNSET)
    ended = (
        "throttle at 2026-03-02 14:58:10 UTC: 612 requests in 60 s, 17 times the usual 35.4 (7d793037a0760186574b0282)"
    )
    assert f"Ends        {ended}" in tell(release, Background(before=THROTTLE))
    assert f"Renews       {ended}" in tell(THROTTLE, Background(before=THROTTLE))
    told = tell(THROTTLE, Background(before=release, after=replace(release, origin="operator")))
    assert "Before       allow at 2026-03-02 14:58:10 UTC (d2)" in told
    assert "After        allow by the operator at 2026-03-02 14:58:10 UTC (d2)" in told


def test_an_operators_word_is_told_with_its_author_and_reason() -> None:
    held = replace(THROTTLE, origin="operator", reasons=[], counterfactual=msgspec.UNSET)
    at = datetime(2026, 3, 2, 14, 58, 10, tzinfo=UTC)
    word = OperatorRecord(id="op-1", type="override", reason="runs an agreed test\n", by="ann", at=at)
    assert r"Reason      override by ann: runs an agreed test\n" in tell(held, Background(word=word))


def test_the_lines_of_the_policy_that_spoke_are_quoted_unless_they_are_another_versions() -> None:
    spoke = policy(version="default-1")
    told = tell(THROTTLE, Background(policy=spoke))
    assert "Rule         rung throttle: entered from a score of 0.9999 on, left below 0.999, for 5 min at first" in told
    assert "Rule         requests_60s: counts above 60, up to block" in told
    assert "Rule" not in tell(THROTTLE, Background(policy=policy(version="other")))


def test_a_list_and_the_harm_budget_are_told() -> None:
    listed = Listing("watchlist", "on the entity list", "2026-09-02T09:00:00Z")
    told = tell(replace(THROTTLE, listed=listed, harm_budget=Budget(10, 10, "block")))
    assert "Listed       watchlist: on the entity list, until 2026-09-02 09:00:00 UTC" in told
    assert "Harm budget  10 of 10 denials allowed in an hour are used; block was kept back" in told
    assert "Harm budget  4 of 10 denials allowed in an hour are used\n" in tell(
        replace(THROTTLE, harm_budget=Budget(10, 4))
    )


def test_a_watched_subjects_rules_are_quoted_as_they_hold_for_it() -> None:
    listed = Listing("watchlist", "on the entity list", "2026-09-02T09:00:00Z")
    spoke = policy(version="default-1")
    told = tell(replace(THROTTLE, listed=listed), Background(policy=spoke))
    assert f"requests_60s: counts above {60 * spoke.watched.floor_share:g}, up to block" in told


def test_shares_of_the_score_follow_its_rarity_and_sum_to_one() -> None:
    def reason(score: float) -> Reason:
        return Reason("requests_60s", 9.0, 1.0, "requests", 60, score)

    assert shares([reason(0.9), reason(0.99)]) == pytest.approx([1 / 3, 2 / 3])
    assert shares([reason(1.0)]) == [1.0]
    assert shares([reason(0.0), reason(0.0)]) == [0.0, 0.0]
    assert shares([]) == []


@pytest.mark.parametrize(
    ("counterfactual", "told"),
    [
        (
            "would not have fired with errors_percent_600s ≤ 30 and accounts_600s ≤ 20",
            "with at most 30% failed requests and at most 20 distinct accounts in 10 min "
            "this would not have been decided",
        ),
        ("would not have fired with tool_calls_60s ≤ 3", "it would not have fired with tool_calls_60s ≤ 3"),
        ("would not have fired otherwise", "it would not have fired otherwise"),
    ],
)
def test_what_would_have_had_to_be_different_is_told_in_words_where_they_are_known(
    counterfactual: str, told: str
) -> None:
    assert levels_told(counterfactual) == told


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.code)
def test_every_feature_has_a_title_in_words(feature: Feature) -> None:
    title = track_title(feature)
    assert title[0].isupper()
    assert "_" not in title
    assert "%" not in title


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.code)
def test_every_feature_is_told_in_words(feature: Feature) -> None:
    told = seen(Reason(feature.code, 50.0, 5.0, "unit", 60, 0.999))
    assert feature.code not in told
    assert "_" not in told


def test_a_code_from_a_newer_version_is_told_by_its_unit() -> None:
    reason = Reason("tool_calls_60s", 80.0, 4.0, "calls", 60, 0.999)
    assert seen(reason) == "80 calls (tool_calls_60s) in 60 s, 20 times the usual 4"


@pytest.mark.parametrize(
    ("observed", "expected", "told"),
    [
        (42.25, 0.0, "42.2% failed requests in 10 min, none is usual"),
        (42.0, 3.0, "42% failed requests in 10 min, 14 times the usual 3"),
        (3.0, 2.0, "3% failed requests in 10 min, 1.5 times the usual 2"),
        (2.0, 4.0, "2% failed requests in 10 min, usual is 4"),
    ],
)
def test_what_was_seen_is_compared_with_what_is_usual(observed: float, expected: float, told: str) -> None:
    assert seen(Reason("errors_percent_600s", observed, expected, "percent", 600, 0.999)) == told


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (0.42, "score 0.42"),
        (0.999, "one ordinary window in 1,000 gets that far"),
        (0.99959, "one ordinary window in 2,400 gets that far"),
        (0.999999999, "fewer than one ordinary window in a billion gets that far"),
        (1.0, "fewer than one ordinary window in a billion gets that far"),
    ],
)
def test_a_score_is_told_as_how_rare_it_is(score: float, told: str) -> None:
    assert rarity(score) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (60, "60 s"), (121, "2 min 1 s"), (900, "15 min"), (5400, "1 h 30 min"), (180_061, "2 d 2 h")],
)
def test_durations_have_two_units_at_most(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_subjects_are_decoded() -> None:
    account = replace(THROTTLE, scope="account", subject="acme%20gmbh/user%2F17")
    assert subject_name(account) == "account user/17 of tenant acme gmbh"


def test_nothing_in_a_story_is_obeyed_by_a_terminal() -> None:
    hostile = "a\x1b[2Jb\nc\u202ed"
    decision = replace(
        THROTTLE,
        subject=tenant_subject(hostile),
        counterfactual=hostile,
        runbook_url=hostile,
        reasons=[Reason(hostile, 1.0, 1.0, hostile, 60, 0.5)],
        policy=PolicyRef(hostile, hostile),
    )
    told = tell(decision)
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert r"\x1b[2Jb\nc\u202ed" in told
    assert len(told.splitlines()) == len(tell(THROTTLE).splitlines()) - 1  # one reason less


@pytest.mark.parametrize(
    "path", sorted((DECISION_EXAMPLES / "examples" / "valid").glob("*.json")), ids=lambda path: path.stem
)
def test_every_valid_decision_has_a_story(path: Path) -> None:
    decision = msgspec.json.decode(path.read_bytes(), type=Decision)
    assert tell(decision).startswith(f"{headline(decision)}\n\n")
