"""How a light tenant asks, over its last ten requests or so: soon seen, not let go in the act, calm otherwise."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.light_shapes import LightShapes
from stream_app.detection.scorers import Expectation, ShareExpectation, t_quantile
from stream_app.detection.state import decode_tenant
from stream_app.policies import read_policy
from stream_app.settings import Settings
from tests.unit.streams import BEGIN_MS, EventFields, event, in_order, new_detector, records, run, steady, to_ms

HOUR_S, DAY_S = 3600, 86_400
DEFAULT = read_policy(Settings())
BEGIN_S = 2 * DAY_S


def light(seed: int, begin_s: float, end_s: float, per_minute: float, tenant: str = "acme") -> list[EventFields]:
    """Requests of one light tenant, whose inputs and outputs vary as people's do."""
    random, made, now_s = Random(f"{seed} {begin_s}"), [], begin_s
    outputs = random.choice((80, 200, 400))
    while (now_s := now_s + random.expovariate(per_minute / 60)) < end_s:
        fields: dict[str, Any] = {
            "input_tokens": round(500 * random.lognormvariate(0, 0.8)) + 1,
            "output_tokens": min(round(outputs * random.lognormvariate(0, 0.7)) + 1, 2048),
            "max_tokens": 2048,
            "refused": random.random() < 0.03,
        }
        made.append(event(round(now_s, 3), tenant, **fields))
    return made


def extraction(begin_s: float, end_s: float, per_minute: float) -> list[EventFields]:
    """Short prompts, answers as long as they may be, with log probabilities and through thirteen temperatures."""
    random = Random(begin_s)
    return [
        item | {"temperature": random.randrange(13) / 10}
        for item in steady(
            begin_s, end_s, per_minute, input_tokens=30, output_tokens=2048, max_tokens=2048, logprobs=True
        )
    ]


def clock(end_s: float) -> list[EventFields]:
    return steady(0, end_s, 0.5, "other")


def after_s(decision: Decision) -> float:
    return (to_ms(decision.issued_at) - BEGIN_MS) / 1000 - BEGIN_S


@pytest.mark.parametrize("per_minute", [0.12, 0.4, 0.9])
def test_an_extraction_by_a_light_tenant_is_slowed_down_and_not_let_go_in_the_act(per_minute: float) -> None:
    end_s = BEGIN_S + 40 * 60 / per_minute
    attack = extraction(BEGIN_S, end_s, per_minute)
    found = run(in_order(light(1, 0, BEGIN_S, per_minute), attack, clock(end_s)), DEFAULT)
    assert {(d.scope, d.tenant_id) for d in found} == {("tenant", "acme")}
    gap_s = 60 / per_minute
    assert 0 < after_s(found[0]) <= 13 * gap_s + 600
    assert 0 < after_s(next(d for d in found if d.action is Action.THROTTLE)) <= 21 * gap_s + 600
    assert Action.ALLOW not in {d.action for d in found}


def test_a_light_tenant_whose_prompts_grow_fiftyfold_is_observed() -> None:
    end_s = BEGIN_S + 2 * HOUR_S
    stuffed = steady(BEGIN_S, end_s, 0.2, input_tokens=120_000)
    found = run(in_order(light(1, 0, BEGIN_S, 0.2), stuffed, clock(end_s)), DEFAULT)
    assert {d.action for d in found} == {Action.OBSERVE}
    assert after_s(found[0]) <= 13 * 300
    assert found[0].reasons[0].code == "input_per_request_600s"


def from_networks(items: list[EventFields], networks: int) -> list[EventFields]:
    return [
        item | {"client": {"ip_prefix": f"203.0.{number * 7 % networks}.0/24"}} for number, item in enumerate(items)
    ]


@pytest.mark.parametrize(("before", "after", "observed"), [(1, 40, True), (2, 40, True), (2, 6, False), (9, 40, False)])
def test_a_light_tenants_key_in_many_hands_is_observed(before: int, after: int, observed: bool) -> None:
    end_s = BEGIN_S + 3 * HOUR_S
    usual, leaked = light(1, 0, BEGIN_S, 0.2), light(2, BEGIN_S, end_s, 0.5)
    found = run(in_order(from_networks(usual, before), from_networks(leaked, after), clock(end_s)), DEFAULT)
    assert {(d.action, d.reasons[0].code) for d in found} == (
        {(Action.OBSERVE, "prefixes_600s")} if observed else set()
    )
    assert not found or after_s(found[0]) <= HOUR_S


def test_a_reason_says_over_how_long_a_window_it_was() -> None:
    end_s = BEGIN_S + 2 * HOUR_S
    found = run(in_order(light(1, 0, BEGIN_S, 0.2), extraction(BEGIN_S, end_s, 0.2), clock(end_s)), DEFAULT)
    windows_s = {reason.code: reason.window_s for reason in found[0].reasons}
    assert 9 * 300 <= windows_s["output_per_request_600s"] <= 20 * 300


@pytest.mark.parametrize("goes_on", [True, False])
def test_it_is_released_once_its_requests_are_ordinary_again_or_stop(goes_on: bool) -> None:
    stop_s, end_s = BEGIN_S + 2 * HOUR_S, BEGIN_S + 9 * HOUR_S
    after = light(2, stop_s, end_s, 0.4) if goes_on else []
    found = run(
        in_order(light(1, 0, BEGIN_S, 0.4), extraction(BEGIN_S, stop_s, 0.4), after, clock(end_s)),
        DEFAULT,
    )
    release = next(d for d in found if d.action is Action.ALLOW)
    assert 2 * HOUR_S < after_s(release) < 5 * HOUR_S
    assert found[-1] is release


@pytest.mark.parametrize("seed", [1, 2])
def test_ordinary_light_tenants_are_left_alone(seed: int) -> None:
    rates = (0.05, 0.1, 0.2, 0.4, 0.9)
    found = run(in_order(*(light(seed, 0, 3 * DAY_S, rate, f"t{rate}") for rate in rates)), DEFAULT)
    assert [(d.tenant_id, d.reasons) for d in found if d.action is not Action.ALLOW] == []


def gathered(per_minute: float, end_s: float) -> tuple[LightShapes | None, int]:
    detector = new_detector(DEFAULT)
    detector.handle(records(in_order(light(3, 0, end_s, per_minute), clock(end_s + 1200))))
    encoded = detector.take_changes()["acme"] or b""
    return decode_tenant(encoded).light, len(encoded)


def test_few_requests_are_gathered_and_no_more_than_needed() -> None:
    for per_minute in (0.02, 0.1, 0.4):
        light_shapes, _ = gathered(per_minute, 2 * DAY_S)
        assert light_shapes is not None
        assert len(light_shapes.parts) <= 3
        assert sum(part.requests for part in light_shapes.parts) < 25


def test_who_asks_enough_in_ten_minutes_costs_nothing_more() -> None:
    assert gathered(6, HOUR_S)[0] is None


# Shares of few requests

NEVER = Expectation(0.0, 0.3)


def test_two_of_ten_are_chance_and_all_of_them_are_not() -> None:
    expected = ShareExpectation(NEVER, 10)
    assert expected.score(20) < 0.99
    assert expected.score(100) > 0.9999
    assert ShareExpectation(Expectation(3.0, 0.3), 10).score(40) < 0.99  # where a fifth is usual


@given(
    mean=st.floats(0, 4.6),
    sd=st.floats(0.25, 2),
    requests=st.integers(10, 40),
    score=st.sampled_from((0.9, 0.99, 0.999, 0.9999)),
)
def test_a_share_at_its_level_stays_below_the_score_and_the_next_reaches_it(
    mean: float, sd: float, requests: int, score: float
) -> None:
    expected = ShareExpectation(Expectation(mean, sd), requests)
    level = expected.level(t_quantile(score))
    for count in range(requests + 1):
        share = 100.0 * count / requests
        if abs(share - level) > 1e-6:
            assert (expected.score(share) >= score) == (share > level)
