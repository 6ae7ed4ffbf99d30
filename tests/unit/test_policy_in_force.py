"""What a policy says of particular subjects: overrides, lists, shadow parts, harm budgets, soft starts."""

from typing import Any

import pytest

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.harm import Harm
from stream_app.detection.policy import Policy, load_policy
from stream_app.detection.rules import Circumstances, HarmBudget
from tests.unit.streams import (
    POLICY,
    POLICY_TEXT,
    EventFields,
    decisions,
    in_order,
    instruct,
    new_detector,
    operator_record,
    policy,
    records,
    run,
    steady,
    time_of,
    told_actions,
)

HOUR_S = 3600
CLOCK = steady(0, HOUR_S + 600, 12, "other")


def noisy(tenant: str = "acme", per_minute: float = 900, **fields: Any) -> list[EventFields]:
    """An hour at ten a minute, then a minute of very many."""
    return in_order(
        steady(0, HOUR_S, 10, tenant, **fields), steady(HOUR_S, HOUR_S + 60, per_minute, tenant, "burst", **fields)
    )


def with_text(text: str) -> Policy:
    return load_policy(POLICY_TEXT + text, "test")


def actions(found: list[Decision], tenant: str = "acme") -> list[str]:
    return [decision.action.value for decision in found if decision.tenant_id == tenant]


BIG = "overrides: [{reason: batch jobs, %s: [%s], features: {requests_10s: {floor: 900}}}]\n"


@pytest.mark.parametrize(("who", "name"), [("tenants", "acme"), ("plans", "enterprise")])
def test_an_override_holds_for_its_tenants_and_plans_alone(who: str, name: str) -> None:
    alone = policy(features={"requests_10s": POLICY.features["requests_10s"]})
    rules = Policy.model_validate(alone.model_dump() | {"overrides": with_text(BIG % (who, name)).overrides})
    stream = in_order(noisy(account={"plan": "enterprise"}), noisy("bob", account={"plan": "free"}), CLOCK)
    found = run(stream, rules)
    assert actions(found) == []
    assert "throttle" in actions(found, "bob")


def test_later_overrides_win_and_tenants_over_plans() -> None:
    rules = with_text(
        """
overrides:
  - {reason: a, tenants: [acme], features: {requests_60s: {floor: 7}}}
  - {reason: b, plans: [free], features: {requests_60s: {floor: 5}, errors_60s: {floor: 1}}}
  - {reason: c, plans: [free], features: {errors_60s: {floor: 2, up_to: throttle}}}
"""
    )
    found = rules.under(Circumstances("acme", "free"))
    assert found.features["requests_60s"].floor == 7
    assert (found.features["errors_60s"].floor, found.features["errors_60s"].up_to) == (2, Action.THROTTLE)
    assert found is rules.under(Circumstances("acme", "free"))
    assert rules.under(Circumstances("bob", "paid")) is rules


def test_the_allow_list_mutes_until_its_day() -> None:
    entry = "allow_list: [{subject: 'tenant:acme', purpose: contracted distillation, until: %s}]\n"
    stream = in_order(noisy(), CLOCK)
    assert actions(run(stream, with_text(entry % "2026-01-02"))) == []
    assert "throttle" in actions(run(stream, with_text(entry % "2025-12-31")))


@pytest.mark.parametrize("source", ["policy", "operator"])
def test_a_watched_tenant_is_acted_on_earlier_and_its_decision_names_the_entry(source: str) -> None:
    entry = "watchlist: [{subject: 'tenant:acme', reason: on the entity list, until: 2026-01-02}]\n"
    stream = in_order(noisy(per_minute=100), CLOCK)
    assert "throttle" not in actions(run(stream))
    if source == "policy":
        found = run(stream, with_text(entry))
    else:
        detector = new_detector()
        word = operator_record("watch", 0, subject="tenant:acme", expires_s=86_400).replace(
            b'"test"', b'"on the entity list"'
        )
        assert instruct(detector, 0, word) == []
        found = decisions(detector.handle(records(stream)))
    first = next(decision for decision in found if decision.action is not Action.ALLOW)
    assert "throttle" in actions(found)
    assert first.listed
    assert (first.listed.list, first.listed.reason) == ("watchlist", "on the entity list")
    assert first.listed.until.startswith("2026-01-02T00:00:00")


def test_a_watch_ends_with_its_time_or_by_a_word_of_the_past() -> None:
    detector = new_detector()
    instruct(detector, 0, operator_record("watch", 0, subject="tenant:acme", expires_s=86_400))
    instruct(detector, 1, operator_record("watch", 10, subject="tenant:acme", expires_s=10))
    assert "throttle" not in actions(decisions(detector.handle(records(in_order(noisy(per_minute=100), CLOCK)))))


def test_an_operators_allow_carries_its_purpose() -> None:
    word = operator_record("allow", 0, subject="tenant:acme", expires_s=60, body={"purpose": "evaluation harness"})
    (said,) = decisions(instruct(new_detector(), 0, word))
    assert said.listed
    assert (said.listed.list, said.listed.reason, said.listed.until) == (
        "allow_list",
        "evaluation harness",
        time_of(60),
    )


def rung_modes(**modes: str) -> Policy:
    rungs = POLICY.model_dump()["rungs"]
    for name, mode in modes.items():
        rungs[Action(name)]["mode"] = mode
    return policy(rungs=rungs)


def test_a_rung_in_shadow_never_takes_the_place_of_one_in_force() -> None:
    stream = in_order(steady(0, HOUR_S, 10), steady(HOUR_S, HOUR_S + 240, 6000, name="burst"), CLOCK)
    plain, shadowed = run(stream), run(stream, rung_modes(block="shadow"))
    assert (Action.BLOCK, False) in {(d.action, d.simulated) for d in plain}
    assert {d.simulated for d in shadowed} == {False}
    assert Action.THROTTLE in {d.action for d in shadowed}
    assert Action.BLOCK not in {d.action for d in shadowed}


def test_a_feature_in_shadow_is_active_and_only_simulated() -> None:
    features = POLICY.model_dump()["features"]
    shadow = {name: rule | {"mode": "shadow"} for name, rule in features.items() if name.startswith("requests_")}
    found = run(in_order(noisy(), CLOCK), policy(features=shadow))
    assert "throttle" in actions(found)
    assert all(decision.simulated for decision in found)


def test_what_shadows_may_say_gives_way_to_what_is_enforced() -> None:
    features = POLICY.model_dump()["features"]
    features["requests_10s"]["mode"] = features["requests_600s"]["mode"] = "shadow"
    rules = policy(features={name: rule for name, rule in features.items() if name.startswith("requests_")})
    told = [(d.action.value, d.simulated) for d in run(in_order(noisy(), CLOCK), rules) if d.tenant_id == "acme"]
    assert ("throttle", True) in told
    assert ("throttle", False) in told[told.index(("throttle", True)) :]
    assert ("throttle", True) not in told[told.index(("throttle", False)) :]


def crowd(tenants: int) -> list[EventFields]:
    return in_order(*(noisy(f"t{n}") for n in range(tenants)), CLOCK)


def test_beyond_the_harm_budget_subjects_are_observed_and_told_why() -> None:
    rules = policy(harm_budgets={"subjects": {"share": 0.005, "at_least": 2}})
    detector = new_detector(rules)
    found = decisions(detector.handle(records(crowd(5))))
    denied = [d for d in found if d.action is Action.THROTTLE]
    withheld = [d for d in found if d.harm_budget and d.harm_budget.withheld]
    assert len({d.tenant_id for d in denied}) == 2
    assert sorted(d.harm_budget.used for d in denied if d.harm_budget) == [1, 2]
    assert {d.tenant_id for d in withheld} == {f"t{n}" for n in range(5)} - {d.tenant_id for d in denied}
    assert {
        (d.action, d.harm_budget.allowed, d.harm_budget.used, d.harm_budget.withheld) for d in withheld if d.harm_budget
    } == {(Action.OBSERVE, 2, 2, "throttle")}
    assert detector.take_tally().withheld == 3


def test_the_harm_budget_is_part_of_the_partitions_state() -> None:
    rules = policy(harm_budgets={"subjects": {"share": 0.005, "at_least": 2}})
    arrivals = records(crowd(5))
    encoded: dict[str, bytes] = {}
    found: list[Decision] = []
    for start in range(0, len(arrivals), 700):
        detector = new_detector(rules, encoded)
        found += decisions(detector.handle(arrivals[start : start + 700]))
        detector.take_changes()
    assert found == decisions(new_detector(rules).handle(arrivals))


def test_the_harm_budget_opens_again_within_the_hour() -> None:
    rules = policy(harm_budgets={"subjects": {"share": 0.005, "at_least": 1}})
    later = in_order(
        steady(0, 2 * HOUR_S + 120, 10, "late"), steady(2 * HOUR_S + 120, 2 * HOUR_S + 180, 900, "late", "burst")
    )
    found = run(in_order(noisy(), later, steady(0, 2 * HOUR_S + 300, 12, "other")), rules)
    assert {d.tenant_id for d in found if d.action is Action.THROTTLE} == {"acme", "late"}


def test_a_budget_is_a_share_of_the_active_tenants() -> None:
    harm = Harm()
    for _ in range(1_000):
        harm.count_active(7)
    harm.count_active(8)
    budget = HarmBudget(share=0.005, at_least=2)
    assert harm.allowance(budget, 8 * 3_600_000) == (5, 0)
    for second in range(5):
        harm.count_denial(8 * 3_600_000 + second * 1_000)
    assert harm.allowance(budget, 8 * 3_600_000 + 60_000).is_spent
    assert not harm.allowance(budget, 9 * 3_600_000).is_spent
    harm.count_active(10)
    assert harm.allowance(budget, 10 * 3_600_000).allowed == 2


def after_release(per_minute: float, begin_s: float) -> list[str | None]:
    detector = new_detector()
    detector.handle(records(in_order(noisy(), CLOCK[: 12 * 62])))
    instruct(detector, 0, operator_record("release", HOUR_S + 120, subject="tenant:acme"))
    again = in_order(
        steady(HOUR_S + 120, begin_s + 60, 12, "other", "later"),
        steady(begin_s, begin_s + 60, per_minute, name="again"),
    )
    return told_actions([d for d in decisions(detector.handle(records(again, 10_000))) if d.tenant_id == "acme"])


def test_after_a_release_the_same_evidence_does_not_count_for_a_while() -> None:
    assert after_release(850, HOUR_S + 130) == []
    assert "throttle" in after_release(3_000, HOUR_S + 130)
    assert "throttle" in after_release(850, 2 * HOUR_S + 200)
