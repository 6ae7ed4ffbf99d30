"""How a newcomer is judged: by how others began, as a share of newcomers, for a person to look at and no further."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.newcomers import Newcomers, PeerExpectation
from stream_app.detection.policy import Policy
from stream_app.detection.scorers import Baseline, t_quantile
from stream_app.policies import read_policy
from stream_app.settings import Settings
from stream_app.stories import Background, points
from tests.unit.streams import BEGIN_MS, EventFields, in_order, run, steady, to_ms

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
DEFAULT = Policy.model_validate(read_policy(Settings()).model_dump() | {"mode": "enforced"})
COT = CODES.index("cot_elicitation_percent_600s")
#: Two days after the first newcomers: their day is sealed.
BEGIN_S = 2 * DAY_S


def newcomer(number: int, begin_s: float) -> list[EventFields]:
    """Ten minutes of somebody new, who asks for this and that."""
    random = Random(number)
    outputs = random.choice((60, 200, 400, 700))
    return [
        item
        | {
            "output_tokens": min(round(outputs * random.lognormvariate(0, 0.5)) + 1, 2048),
            "scores": {"cot_elicitation": random.choice((0.1, 0.2, 0.3, 0.6))},
        }
        for item in steady(begin_s, begin_s + 10 * MINUTE_S, 2, f"new-{number}", max_tokens=2048)
    ]


def newcomers(count: int) -> list[EventFields]:
    return in_order(*(newcomer(number, number * DAY_S // count // 600 * 600) for number in range(count)))


def extraction(begin_s: float, end_s: float, **fields: Any) -> list[EventFields]:
    wanted: dict[str, Any] = {
        "input_tokens": 60,
        "output_tokens": 2000,
        "max_tokens": 2048,
        "scores": {"cot_elicitation": 0.95},
    }
    return steady(begin_s, end_s, 3, "thief", **(wanted | fields))


def clock(end_s: float) -> list[EventFields]:
    return steady(0, end_s, 0.2, "other")


def decided(*streams: list[EventFields], rules: Policy = DEFAULT) -> list[Decision]:
    end_s = BEGIN_S + 6 * HOUR_S
    return [d for d in run(in_order(newcomers(150), *streams, clock(end_s)), rules) if d.tenant_id == "thief"]


def test_a_newcomer_that_extracts_from_its_first_minute_is_observed_and_not_denied() -> None:
    found = decided(extraction(BEGIN_S, BEGIN_S + 2 * HOUR_S))
    assert {d.action for d in found} <= {Action.OBSERVE, Action.ALLOW}
    assert found[0].action is Action.OBSERVE
    assert to_ms(found[0].issued_at) - BEGIN_MS <= (BEGIN_S + 15 * MINUTE_S) * 1000
    kinds = {FEATURES[CODES.index(reason.code)].kind for reason in found[0].reasons}
    assert kinds == {"output", "elicitation"}


def test_it_stays_observed_while_it_goes_on() -> None:
    found = decided(extraction(BEGIN_S, BEGIN_S + 5 * HOUR_S))
    assert Action.ALLOW not in {
        d.action for d in found if to_ms(d.issued_at) - BEGIN_MS < (BEGIN_S + 5 * HOUR_S) * 1000
    }


def test_its_story_says_whom_it_is_compared_with() -> None:
    first = decided(extraction(BEGIN_S, BEGIN_S + HOUR_S))[0]
    assert {reason.compared_with for reason in first.reasons[:2]} == {"newcomers"}
    told = " ".join(point.text for point in points(first, Background(policy=DEFAULT)))
    assert "half of all newcomers begin with" in told
    assert "0.7% of them get as far" in told
    assert "2 kinds of shape at once, in the geometric mean as rare as one newcomer in 100" in told


@pytest.mark.parametrize(
    "fields",
    [
        {"scores": {"cot_elicitation": 0.1}},  # long answers alone
        {"input_tokens": 500, "output_tokens": 200},  # reasoning asked for, in ordinary answers
    ],
)
def test_one_kind_alone_is_a_newcomers_own_way(fields: dict[str, Any]) -> None:
    assert not decided(extraction(BEGIN_S, BEGIN_S + 2 * HOUR_S, **fields))


def test_a_policy_may_ask_for_more_kinds() -> None:
    together = {"kinds": 3, "newcomer_kinds": 3, "up_to": "throttle"}
    rules = Policy.model_validate(DEFAULT.model_dump() | {"together": together})
    assert not decided(extraction(BEGIN_S, BEGIN_S + 2 * HOUR_S), rules=rules)


def test_where_hardly_anybody_has_begun_before_nobody_is_unusual() -> None:
    stream = in_order(newcomers(20), extraction(BEGIN_S, BEGIN_S + 2 * HOUR_S), clock(BEGIN_S + 4 * HOUR_S))
    assert not [d for d in run(stream, DEFAULT) if d.tenant_id == "thief"]


@pytest.mark.parametrize(("refused", "is_observed"), [(1.0, True), (0.3, False)])
def test_that_all_is_refused_is_nobodys_beginning(refused: float, is_observed: bool) -> None:
    requests = steady(BEGIN_S, BEGIN_S + HOUR_S, 3, "thief")
    asked = [item | {"refused": number % 10 < 10 * refused} for number, item in enumerate(requests)]
    found = run(in_order(asked, clock(BEGIN_S + 2 * HOUR_S)), DEFAULT)
    assert ({d.action for d in found if d.reasons} == {Action.OBSERVE}) == is_observed


def test_an_old_customer_is_judged_by_its_own_past() -> None:
    """Who has always asked so is nobody to look at; its beginning was before anything was known of others."""
    usual = extraction(0, BEGIN_S + 2 * HOUR_S)
    found = run(in_order(newcomers(150), usual, clock(BEGIN_S + 4 * HOUR_S)), DEFAULT)
    assert not [d for d in found if d.tenant_id == "thief"]


def test_a_policy_without_shapes_that_move_together_observes_no_newcomer() -> None:
    rules = Policy.model_validate(DEFAULT.model_dump() | {"together": None})
    assert not decided(extraction(BEGIN_S, BEGIN_S + 2 * HOUR_S), rules=rules)


def test_features_in_shadow_lead_to_simulated_observations_only() -> None:
    content = DEFAULT.model_dump()
    for rule in content["features"].values():
        rule["mode"] = "shadow"
    found = decided(extraction(BEGIN_S, BEGIN_S + HOUR_S), rules=Policy.model_validate(content))
    assert found[0].action is Action.OBSERVE
    assert all(decision.simulated for decision in found)


def begun(*values: float) -> Newcomers:
    found = Newcomers()
    for value in values:
        found.gather(9, [(COT, value)], [])
    found.seal(0)
    return found


def test_a_tenant_counts_once_with_its_first_window() -> None:
    found = Newcomers()
    found.gather(9, [(COT, 50.0)], [])
    found.gather(19, [(COT, 50.0)], [Baseline() for _ in CODES])
    found.seal(0)
    expectation = found.expect(COT)
    assert expectation is not None
    assert sum(expectation.counts.values()) == 1


def test_a_day_counts_once_it_is_sealed_and_fades() -> None:
    found = Newcomers()
    found.gather(9, [(COT, 50.0)], [])
    assert found.expect(COT) is None
    found.seal(0)
    found.gather(9, [(COT, 50.0)], [])  # too late for that day
    found.gather(1449, [(COT, 0.0)], [])
    found.seal(1)
    expectation = found.expect(COT)
    assert expectation is not None
    assert [round(count, 3) for count in expectation.counts.values()] == [1, 0.967]


values = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


@given(values, st.floats(0, 1e6))
def test_a_score_is_the_share_of_newcomers_below(begins: list[float], value: float) -> None:
    expectation = begun(*begins).expect(COT)
    assert expectation is not None
    beyond = sum(begin >= value for begin in begins)
    assert expectation.score(value) <= 1 - (beyond + 1) / (len(begins) + 1) + 1e-9
    assert 0 <= expectation.score(value) < 1


@given(values, st.floats(0.501, 0.9999), st.floats(0, 1e6))
def test_a_score_reaches_a_probability_just_above_its_level(begins: list[float], bar: float, value: float) -> None:
    expectation = begun(*begins).expect(COT)
    assert isinstance(expectation, PeerExpectation)
    level = expectation.level(t_quantile(bar))
    if value <= level:
        assert expectation.score(value) < bar + 1e-9
    else:
        assert expectation.score(value) >= bar - 1e-9


@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 1e6)), max_size=40), st.randoms())
def test_the_order_in_which_tenants_are_closed_does_not_matter(begins: list[tuple[int, float]], random: Random) -> None:
    def gathered(items: list[tuple[int, float]]) -> Newcomers:
        found = Newcomers()
        for minute, value in items:
            found.gather(minute // 10 * 10 + 9, [(COT, value)], [])
        for day in range(3):
            found.seal(day)
        return found

    shuffled = begins[:]
    random.shuffle(shuffled)
    assert gathered(begins) == gathered(shuffled)
