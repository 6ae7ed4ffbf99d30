"""Decisions explain themselves: times, limits, evidence; and they keep to their contract."""

from pathlib import Path

import jsonschema_rs
import msgspec
import orjson
import pytest
from msgspec import UNSET

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.explanations import MAX_LIMIT, Cause, evidence, limit, rfc3339
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.judgement import score_values
from stream_app.detection.scorers import Baseline
from stream_app.detection.state import TenantState
from stream_app.detection.windows import Pane
from tests.unit.streams import POLICY, event, evidence_of, in_order, policy, run, steady, to_ms

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "decision" / "v1.schema.json"


def burst() -> list[Decision]:
    """What an ordinary tenant is told that sends 200 times its rate for three minutes, and then stops."""
    noisy = in_order(steady(0, 3600, 6), steady(3600, 3780, 1200, name="burst"))
    return run(in_order(noisy, steady(0, 5100, 12, "other")))


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_767_225_600_050, "2026-01-01T00:00:00.050Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (1 << 62, "9999-12-31T23:59:59.999Z"),
        (-(1 << 62), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_written_with_three_decimals_and_within_the_calendar(time_ms: int, text: str) -> None:
    assert rfc3339(time_ms) == text


def test_all_decisions_fit_the_schema() -> None:
    validator = jsonschema_rs.Draft202012Validator(orjson.loads(SCHEMA.read_bytes()), validate_formats=True)
    found = burst()
    assert {decision.action for decision in found} >= {Action.THROTTLE, Action.BLOCK, Action.ALLOW}
    for decision in found:
        validator.validate(orjson.loads(msgspec.json.encode(decision)))


def test_the_decision_names_its_cause_its_evidence_and_what_it_would_have_taken() -> None:
    noisy = [*steady(0, 900, 6), *steady(900, 930, 1200, name="burst")]
    first = next(decision for decision in run(noisy) if decision.action is Action.THROTTLE)
    place = next(n for n, item in enumerate(noisy) if item["time"] == first.issued_at and n >= 90)
    told = evidence_of(first)
    assert told.sources[0].first_offset <= place <= told.sources[0].last_offset
    assert noisy[place]["id"] == told.sample_event_ids[-1]
    assert told.last_time == first.issued_at
    assert str(first.counterfactual).startswith("would not have fired with requests_")
    assert first.reasons[0].observed > first.reasons[0].expected
    assert first.model.name == "log_baseline"


def test_at_the_level_that_a_renewal_names_it_is_not_renewed() -> None:
    #   0 ... 3600 ### 3660  800/min until 4860: renewals name the level below which the block is left
    history = in_order(steady(0, 3600, 6), steady(3600, 3660, 1200, name="burst"))
    rules = policy(features={"requests_60s": POLICY.features["requests_60s"]})

    def told(rate: int) -> list[Decision]:
        goes_on = steady(3660, 4860, rate, name="on")
        return run(in_order(history, goes_on, steady(0, 4900, 12, "other")), rules)

    renewed = [d for d in told(800) if d.action is Action.BLOCK]
    assert len(renewed) >= 3
    level = int(str(renewed[-1].counterfactual).rsplit(" ", 1)[1])
    assert 60 <= level < 800
    assert [d.action for d in told(level)][-1] is Action.ALLOW
    assert [d.action for d in told(level + 2)][-1] is Action.BLOCK


def test_evidence_of_a_late_trip_contains_its_cause() -> None:
    cause = Cause("requests", 0, offset=40, now_ms=1_000, newest_pane=9, event_id="late")
    alone = evidence(cause, [])
    assert alone
    assert (alone.events, alone.sources[0].first_offset, alone.sources[0].last_offset) == (1, 40, 40)
    beside = evidence(cause, [Pane(3, 30, 90_000, 95_000, f"p{k}", requests=2) for k in range(9)])
    assert beside
    assert (beside.sources[0].first_offset, beside.sources[0].last_offset) == (3, 40)
    assert (beside.first_time, beside.last_time) == (rfc3339(1_000), rfc3339(95_000))
    assert beside.sample_event_ids == ["p5", "p6", "p7", "p8", "late"]


def test_the_limit_is_an_ordinary_minute_and_never_below_the_floor() -> None:
    known = TenantState(baselines=[None, Baseline(500.0, 5.0, 20.0)])  # about 150 a minute
    scored = score_values(known, POLICY, [(CODES.index("requests_60s"), 10_000.0)], 0)
    ordinary = limit(known, POLICY, scored, 0).requests_per_minute
    assert ordinary is not UNSET
    assert 150 < ordinary < 1_000
    unknown = limit(TenantState(baselines=[None, Baseline(500.0, 0.0, 0.0)]), POLICY, scored, 0)
    assert unknown.requests_per_minute == 60


def test_a_limit_fits_json_whatever_the_tenant_did_before() -> None:
    wild = TenantState(baselines=[Baseline(700.0, 15.0, 700.0 * 200.0) for _ in FEATURES])
    scored = score_values(wild, POLICY, [(CODES.index("input_tokens_60s"), 1e12)], 0)
    wide = limit(wild, POLICY, scored, 0)
    assert wide.tokens_per_minute is not UNSET
    assert wide.tokens_per_minute <= MAX_LIMIT
    assert orjson.dumps(msgspec.to_builtins(wide))


def test_ids_are_the_same_in_every_run() -> None:
    assert [d.decision_id for d in burst()] == [d.decision_id for d in burst()]
    assert len({d.decision_id for d in burst()}) == len(burst())
    assert to_ms(event(0)["time"]) == 1_767_225_600_000
