"""Floors of small tenants: what is small elsewhere is large for who never did much."""

import pytest
from msgspec import UNSET

from stream_app.detection.decisions import Action
from stream_app.detection.features import CODES
from stream_app.detection.policy import Policy, PolicyError, load_policy
from stream_app.detection.rules import Circumstances
from stream_app.policies import DEFAULT_POLICY
from tests.unit.streams import POLICY, POLICY_TEXT, EventFields, in_order, run, steady

REQUESTS = CODES.index("requests_60s")


def with_small_floors(**small_tenants: object) -> Policy:
    text = POLICY_TEXT.replace("{floor: 60, up_to: block}", "{floor: 60, small_floor: 20, up_to: block}")
    policy = load_policy(text, "test")
    return Policy.model_validate(policy.model_dump() | {"small_tenants": small_tenants})


def burst_after(minutes: int, per_minute: float = 50, lasts_min: int = 3) -> list[EventFields]:
    """One request a minute, then a burst."""
    begin_s = minutes * 60
    return in_order(steady(0, begin_s, 1), steady(begin_s, begin_s + 60 * lasts_min, per_minute, name="burst"))


def test_a_burst_below_the_floor_is_seen_of_a_small_tenant_that_is_known_well() -> None:
    (decision, *_) = run(burst_after(120), with_small_floors())
    assert decision.action is Action.OBSERVE
    assert decision.reasons[0].code == "requests_60s"
    assert 20 < decision.reasons[0].observed < 60


def test_the_first_bursts_of_a_new_tenant_are_judged_by_the_floor_alone() -> None:
    assert not run(burst_after(30), with_small_floors())


def test_without_small_floors_nothing_changes() -> None:
    assert not run(burst_after(120))


def test_beyond_its_rung_the_floor_holds_for_everybody() -> None:
    told = run(burst_after(120, lasts_min=5), with_small_floors())
    assert {decision.action for decision in told} == {Action.OBSERVE}


def test_the_limit_of_a_throttled_small_tenant_is_its_own() -> None:
    policy = with_small_floors(up_to="throttle")
    throttle = next(d for d in run(burst_after(120), policy) if d.action is Action.THROTTLE)
    assert throttle.limit
    assert throttle.limit.requests_per_minute is not UNSET
    assert throttle.limit.requests_per_minute < 60


def test_a_floor_agreed_on_holds_for_a_small_tenant_too() -> None:
    agreed = {"reason": "batch jobs", "tenants": ["acme"], "features": {"requests_60s": {"floor": 500}}}
    policy = Policy.model_validate(with_small_floors().model_dump() | {"overrides": [agreed]})
    assert policy.under(Circumstances("acme")).small_floors[REQUESTS] == 500
    assert not run(burst_after(120), policy)


def test_what_a_person_released_lifts_small_floors() -> None:
    soft = with_small_floors().under(Circumstances("acme", soft_floors=((REQUESTS, 45.0),)))
    assert (soft.floors[REQUESTS], soft.small_floors[REQUESTS]) == (60, 45)


def test_less_than_the_usual_value_is_no_floor() -> None:
    with pytest.raises(PolicyError, match=r"small_tenants\.times"):
        load_policy(POLICY_TEXT + "small_tenants: {times: 0.5}\n", "test")


def crowd(begin_s: int, end_s: int, per_minute: float, name: str) -> list[EventFields]:
    streams = [steady(begin_s + k, end_s, per_minute, f"other-{k}", name) for k in range(20)]
    return in_order(*streams)


def of_acme(events: list[EventFields]) -> list[Action]:
    return [decision.action for decision in run(events, with_small_floors()) if decision.tenant_id == "acme"]


def test_while_everybody_is_busy_small_floors_do_not_hold() -> None:
    calm = crowd(0, 7_200, 0.5, "calm")
    assert of_acme(in_order(calm, burst_after(120))) == [Action.OBSERVE]
    assert of_acme(in_order(calm, crowd(7_000, 7_500, 30, "all"), burst_after(120))) == []


def test_after_a_gap_in_collection_small_floors_do_not_hold_for_half_an_hour() -> None:
    begin_s = 7_200 + 3 * 3_600
    burst = steady(begin_s + 60, begin_s + 240, 50, name="burst")
    history = in_order(steady(0, 7_200, 1), crowd(0, 7_200, 0.5, "calm"), crowd(begin_s, begin_s + 300, 0.5, "again"))
    assert of_acme(in_order(history, burst)) == []


def test_one_tenant_alone_is_no_crowd() -> None:
    loud = steady(6_000, 7_500, 600, "loud", "loud")
    assert of_acme(in_order(crowd(0, 7_500, 0.5, "calm"), loud, burst_after(120))) == [Action.OBSERVE]


def newcomer(per_minute: float) -> list[Action]:
    """Of a tenant with half an hour of history, which then sends so many requests a minute for ten minutes."""
    return [decision.action for decision in run(job_after(1_800, 1, per_minute), with_newcomer_floors())]


def with_newcomer_floors() -> Policy:
    content = POLICY.model_dump()
    for code, floor in (("requests_10s", 150), ("requests_60s", 300), ("requests_600s", 3_000)):
        content["features"][code]["newcomer_floor"] = floor
    return Policy.model_validate(content)


def job_after(history_s: int, usual: float, per_minute: float) -> list[EventFields]:
    """So many requests a minute, then ten minutes of another number."""
    return in_order(steady(0, history_s, usual), steady(history_s, history_s + 600, per_minute, name="work"))


def test_a_newcomers_first_rise_is_observed() -> None:
    assert set(newcomer(200)) == {Action.OBSERVE}


def test_a_newcomer_that_runs_away_is_throttled() -> None:
    assert newcomer(2_400)[:2] == [Action.OBSERVE, Action.THROTTLE]


def test_a_job_of_who_never_sent_much_is_observed_however_long_the_history() -> None:
    """Ten hours of a request a minute do not say what the client does when it goes to work in earnest."""
    assert {d.action for d in run(job_after(36_000, 1, 200), with_newcomer_floors())} == {Action.OBSERVE}
    assert Action.THROTTLE in {d.action for d in run(job_after(36_000, 4, 200), with_newcomer_floors())}


def test_less_than_ten_times_as_much_as_usual_denies_nobody() -> None:
    nine, fifty = ({d.action for d in run(job_after(14_400, 20, 20 * times), POLICY)} for times in (8, 50))
    assert nine == {Action.OBSERVE}
    assert Action.THROTTLE in fifty


def test_by_default_a_few_requests_a_second_throttle_nobody_however_few_are_usual() -> None:
    policy = load_policy(DEFAULT_POLICY.read_text(), "default")
    few, many = ({d.action for d in run(job_after(36_000, 2, per_minute), policy)} for per_minute in (140, 600))
    assert few == {Action.OBSERVE}
    assert Action.THROTTLE in many
