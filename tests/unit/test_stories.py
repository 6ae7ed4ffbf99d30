"""Decisions in words."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from stream_app.detection.decisions import (
    Action,
    Decision,
    Evidence,
    Limit,
    ModelRef,
    PolicyRef,
    Reason,
    Source,
    tenant_subject,
)
from stream_app.detection.features import FEATURES, Feature
from stream_app.stories import duration, headline, rarity, seen, subject_name, tell

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
        "Main reason  612 requests in 60 s, 17 times the usual 35.4; one ordinary window in 20,000 gets that far",
        "Also         90,000 output tokens in 10 min, 2.2 times the usual 41,000; "
        "one ordinary window in 1,100 gets that far",
        "Otherwise    it would not have fired with requests_60s ≤ 184",
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
    assert subject_name(account) == "account acme gmbh/user/17"


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
