"""Surges: a tenant, or its busiest account, against the last half hour of activity."""

from itertools import pairwise
from random import Random

import pytest

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.scorers import Baseline, CountExpectation, Recent, t_quantile
from tests.unit.streams import EventFields, decisions, in_order, new_detector, policy, records, run, steady

SURGES = policy(
    features={
        code: {"floor": 6000, "small_floor": small_floor, "up_to": "observe"}
        for code, small_floor in (
            *(("surge_60s", 15), ("account_surge_60s", 15), ("surge_180s", 20)),
            *(("surge_600s", 30), ("account_surge_600s", 30)),
        )
    }
)
HALF_HOUR = Recent(30.0, 5.0, 60.0, 60.0)
HOUR_S = 3600


def learned(values: list[float]) -> CountExpectation:
    baseline = Baseline()
    for value in values:
        baseline.learn_recent(value, 720, HALF_HOUR)
    return baseline.expect_recent(HALF_HOUR)


def drawn(mean_sessions: float, most_of_session: int, count: int = 720) -> list[float]:
    random = Random(5)
    return [
        float(sum(random.randint(1, most_of_session) for _ in range(1 + int(random.expovariate(1 / mean_sessions)))))
        for _ in range(count)
    ]


def noise(end_s: float, seed: int = 3, accounts: int = 6, per_s: float = 0.06) -> list[EventFields]:
    """Some accounts of a big tenant, unevenly used."""
    random = Random(seed)
    events = []
    for n in range(accounts):
        at_s = 0.0
        while (at_s := at_s + random.expovariate(per_s)) < end_s:
            events += steady(round(at_s, 3), at_s + 1, 60, "acme", f"u{n}", account_id=f"user-{n}")[:1]
    return in_order(events)


def clock(end_s: float) -> list[EventFields]:
    return steady(0.3, end_s, 12, "other")


def told(found: list[Decision]) -> list[tuple[str, str, str, str]]:
    return [(d.subject, d.action.value, d.issued_at, d.reasons[0].code if d.reasons else "") for d in found]


@pytest.mark.parametrize("wanted", [0.9, 0.99, 0.999, 0.9999])
@pytest.mark.parametrize("values", [[], [0.0], [3.0] * 100, drawn(2, 5), drawn(200, 9), [1e9] * 50])
def test_level_inverts_score(values: list[float], wanted: float) -> None:
    expectation = learned(values)
    assert expectation.score(expectation.level(t_quantile(wanted))) == pytest.approx(wanted, abs=1e-6)


def test_a_larger_count_never_scores_lower_and_scores_stay_between_zero_and_one() -> None:
    expectation = learned(drawn(2, 5))
    scores = [expectation.score(value) for value in (0, 1, 5, 20, 100, 1e4, 1e9)]
    assert all(0 <= low <= high <= 1 for low, high in pairwise(scores))


def test_who_comes_in_sessions_needs_a_larger_surge_than_who_does_not() -> None:
    observe = t_quantile(0.999)
    assert learned([6.0, 5.0, 7.0] * 240).level(observe) < 30 < learned(drawn(2, 5)).level(observe)


def test_the_level_is_that_of_the_last_half_hour() -> None:
    assert learned([100.0] * 600 + [20.0] * 60).level(0.0) == pytest.approx(35, abs=10)


def test_own_bursts_widen_what_is_ordinary() -> None:
    observe = t_quantile(0.999)
    assert learned(([6.0] * 39 + [60.0]) * 18).level(observe) > 2 * learned([6.0] * 720).level(observe)


def test_five_times_the_last_half_hour_is_observed_within_a_minute() -> None:
    events = in_order(steady(0, 2 * HOUR_S, 20), steady(2 * HOUR_S, 2 * HOUR_S + 300, 80, name="burst"))
    found = run(events, SURGES)
    assert [d.action for d in found] == [Action.OBSERVE]
    assert found[0].reasons[0].code == "surge_60s"
    assert found[0].issued_at <= "2026-01-01T02:01:00.000Z"


def test_what_is_too_little_for_a_minute_adds_up_in_ten() -> None:
    """Four times as much of a tenant that comes in sessions: no minute tells, ten do; its own busy blocks do not."""
    random = Random(7)
    sessions = [
        request
        for minute in range(8 * 60)
        for request in steady(minute * 60, minute * 60 + 50, 6 * random.choice((1, 1, 1, 5)), name=f"m{minute}")
    ]
    more = steady(7 * HOUR_S, 7 * HOUR_S + 1200, 30, name="more")
    assert not run(sessions, SURGES)
    found = run(in_order(sessions, more), SURGES)
    assert {d.reasons[0].code for d in found if d.reasons} == {"surge_600s"}
    assert "2026-01-01T07:03" < found[0].issued_at < "2026-01-01T07:12"


def test_a_burst_of_three_minutes_is_more_than_sessions_of_one() -> None:
    """A minute of it is no more than a session, and ten dilute it."""
    random, end_s = Random(11), 8 * HOUR_S
    sessions = [
        request
        for minute in range(end_s // 60)
        if (count := random.choice((0, 0, 0, 0, 1, 1, 1, 2, 8)))
        for request in steady(minute * 60, minute * 60 + 50, 1.2 * count, name=f"m{minute}")
    ]
    assert not run(sessions, SURGES)
    burst = steady(7 * HOUR_S, 7 * HOUR_S + 180, 30, name="burst")
    found = run(in_order(sessions, burst), SURGES)
    assert found[0].reasons[0].code == "surge_180s"
    assert found[0].issued_at < "2026-01-01T07:03:00.000Z"


def test_neither_a_newcomer_nor_a_crowd_surges() -> None:
    assert not run(in_order(steady(0, 1800, 20), steady(1800, 2400, 100, name="burst")), SURGES)
    tenants = [f"t{n}" for n in range(12)]
    crowd = [steady(n / 9, 2 * HOUR_S, 0.5, name) for n, name in enumerate(tenants)]
    crowd += [steady(2 * HOUR_S + n / 9, 2 * HOUR_S + 600, 60, name, "burst") for n, name in enumerate(tenants)]
    assert not run(in_order(*crowd), SURGES)


def runaway(per_minute: float = 80) -> list[EventFields]:
    begin_s, end_s = 3 * HOUR_S, 3 * HOUR_S + 900
    surge = steady(begin_s, end_s, per_minute, "acme", "runaway", account_id="user-4")
    return in_order(noise(end_s), surge, clock(end_s + 120))


def test_the_account_that_runs_away_inside_a_big_tenant_is_named() -> None:
    found = run(runaway(), SURGES)
    assert [(d.subject, d.action) for d in found][:1] == [("acme/user-4", Action.OBSERVE)]
    assert {d.subject for d in found} == {"acme/user-4"}


def test_it_is_named_where_forty_ask_in_the_same_minutes() -> None:
    begin_s, end_s = 2 * HOUR_S, 2 * HOUR_S + 300
    surge = steady(begin_s, end_s, 60, "acme", "runaway", account_id="user-4")
    found = run(in_order(noise(end_s, accounts=40, per_s=0.03), surge, clock(end_s + 120)), SURGES)
    assert {d.subject for d in found} == {"acme/user-4"}


def test_what_an_account_does_too_little_of_for_a_minute_adds_up_in_ten() -> None:
    random, end_s = Random(9), 6 * HOUR_S
    sessions = [
        request
        for minute in range(end_s // 60)
        for request in _session(minute, random.randrange(6), random.choice((4, 4, 4, 24)))
    ]
    more = steady(5 * HOUR_S, 5 * HOUR_S + 1200, 24, "acme", "more", account_id="user-4")
    assert not run(in_order(sessions, clock(end_s)), SURGES)
    found = run(in_order(sessions, more, clock(end_s)), SURGES)
    assert (found[0].subject, found[0].reasons[0].code) == ("acme/user-4", "account_surge_600s")


def _session(minute: int, account: int, count: int) -> list[EventFields]:
    name = f"user-{account}"
    return steady(minute * 60, minute * 60 + 50, 1.2 * count, "acme", f"m{minute}", account_id=name)


@pytest.mark.parametrize(("requests", "subjects"), [(28, set()), (40, {"acme/user-4"})])
def test_an_account_is_judged_by_what_was_known_before_its_surge(requests: int, subjects: set[str]) -> None:
    begin_s = 3 * HOUR_S
    surge = steady(begin_s, begin_s + 60, requests, "acme", "once", account_id="user-4")
    found = run(in_order(noise(begin_s + 600), surge, clock(begin_s + 720)), SURGES)
    assert {d.subject for d in found} == subjects


def test_a_session_of_another_account_does_not_make_it_the_tenants() -> None:
    begin_s = 3 * HOUR_S
    other = steady(begin_s, begin_s + 60, 24, "acme", "other", account_id="user-2")
    alone = policy(features={"account_surge_60s": {"floor": 6000, "small_floor": 15, "up_to": "observe"}})
    found = run(in_order(runaway(60), other), alone)
    assert {d.subject for d in found} == {"acme/user-4"}


def test_who_has_a_tenant_to_itself_is_no_account_of_its() -> None:
    events = in_order(steady(0, 2 * HOUR_S, 20), steady(2 * HOUR_S, 2 * HOUR_S + 300, 80, name="burst"))
    assert {d.scope for d in run(events, SURGES)} == {"tenant"}


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_anywhere_changes_no_decision_about_an_account(seed: int) -> None:
    events = records(runaway())
    whole = told(decisions(new_detector(SURGES).handle(events)))
    cut = Random(seed).randrange(len(events) * 3 // 4, len(events))
    encoded: dict[str, bytes] = {}
    first = new_detector(SURGES, encoded)
    found = decisions(first.handle(events[:cut]))
    first.take_changes()
    assert whole == told(found + decisions(new_detector(SURGES, encoded).handle(events[cut:])))


@pytest.mark.parametrize("status", [200, 503])
def test_what_was_lost_in_an_outage_and_comes_again_is_no_surge(status: int) -> None:
    """The tenant is the same, and its surge; only what the provider answered everybody before differs."""
    begin_s, end_s = 2 * HOUR_S, 2 * HOUR_S + 300
    usual = [steady(n / 3, begin_s, 20, name) for n, name in enumerate(("acme", "other", "third"))]
    for events in usual:
        for item in events[-200:]:
            item["status_code"] = status
    found = run(in_order(*usual, steady(begin_s, end_s, 100, name="again")), SURGES)
    assert bool(found) is (status == 200)
