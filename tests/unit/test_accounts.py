"""One account inside a tenant: who is responsible, who is left alone, and what happens when it spreads."""

from typing import Any

import pytest

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import EmitDecision
from stream_app.detection.windows import MAX_HEAVY, Pane
from tests.unit.streams import (
    POLICY,
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
)

HOUR_S = 3600


def people(end_s: float, count: int = 8, per_minute: float = 2) -> list[EventFields]:
    return in_order(
        *(
            [item | {"account_id": f"user-{n}"} for item in steady(n * 0.7, end_s, per_minute, "acme", f"user-{n}")]
            for n in range(count)
        )
    )


def burst(account: str, begin_s: float, end_s: float, per_minute: float = 900, **fields: Any) -> list[EventFields]:
    return steady(begin_s, end_s, per_minute, "acme", f"burst-{account}", account_id=account, **fields)


def clock(end_s: float) -> list[EventFields]:
    return steady(0.3, end_s, 12, "other")


def told(found: list[Decision]) -> list[tuple[str, str | None, str]]:
    return [(d.scope, d.account_id or None, d.action.value) for d in found]


def test_the_account_that_explains_the_excess_is_throttled_and_not_its_tenant() -> None:
    found = run(in_order(people(HOUR_S + 900), burst("eve", HOUR_S, HOUR_S + 60), clock(HOUR_S + 900)))
    assert {(d.scope, d.account_id) for d in found} == {("account", "eve")}
    throttle = next(d for d in found if d.action is Action.THROTTLE)
    assert (throttle.subject, throttle.tenant_id) == ("acme/eve", "acme")
    assert throttle.issued_at <= time_of(HOUR_S + 15)
    assert found[-1].action is Action.ALLOW


def test_whoever_is_alone_in_its_tenant_is_the_tenant() -> None:
    usual = steady(0, HOUR_S, 10, "acme", account_id="eve")
    found = run(in_order(usual, burst("eve", HOUR_S, HOUR_S + 60), clock(HOUR_S + 120)))
    assert {d.scope for d in found} == {"tenant"}


@pytest.mark.parametrize(("silent_h", "scope"), [(10, "account"), (200, "tenant")])
def test_who_works_alone_tonight_is_not_its_tenant(silent_h: int, scope: str) -> None:
    alone_s = (1 + silent_h) * HOUR_S
    usual = steady(HOUR_S, alone_s, 1 / 6, "acme", "alone", account_id="eve")
    begun = in_order(people(HOUR_S), usual, burst("eve", alone_s, alone_s + 60))
    found = run(in_order(begun, steady(0, alone_s + 120, 1 / 60, "other"), steady(alone_s, alone_s + 120, 12, "third")))
    assert {d.scope for d in found if d.tenant_id == "acme"} == {scope}


def test_the_account_is_named_though_another_asks_when_the_level_is_passed() -> None:
    """Sixty of its requests are within the floor, and somebody else's is one too many; nothing is decided at that."""
    usual = people(HOUR_S - 90, count=4, per_minute=0.5)
    other = steady(HOUR_S + 31, HOUR_S + 32, 60, account_id="user-1")
    rush = burst("eve", HOUR_S, HOUR_S + 30, 120) + burst("eve", HOUR_S + 40, HOUR_S + 45, 120)
    found = run(in_order(usual, rush, other, clock(HOUR_S + 100)))
    assert (found[0].scope, found[0].account_id, found[0].action) == ("account", "eve", Action.OBSERVE)
    assert found[0].issued_at == time_of(HOUR_S + 40)


def test_an_excess_that_all_share_is_the_tenants() -> None:
    crowd = [item | {"account_id": f"user-{k % 8}"} for k, item in enumerate(burst("all", HOUR_S, HOUR_S + 60, 900))]
    found = run(in_order(people(HOUR_S), crowd, clock(HOUR_S + 120)))
    assert {d.scope for d in found} == {"tenant"}


def test_it_is_handed_over_to_the_tenant_when_it_spreads() -> None:
    spread = [burst(f"bot-{n}", HOUR_S + 60 * n, HOUR_S + 600) for n in range(6)]
    found = run(in_order(people(HOUR_S + 600), *spread, clock(HOUR_S + 700)))
    scopes = [d.scope for d in found if d.action is not Action.ALLOW]
    assert scopes[0] == "account"
    assert "tenant" in scopes
    throttled = {d.account_id for d in found if d.scope == "account" and d.action is not Action.ALLOW}
    assert 1 <= len(throttled) <= 3
    assert not any(str(account).startswith("user") for account in throttled)


@pytest.mark.parametrize("status", [200, 429])
def test_an_account_that_keeps_pushing_is_not_released_and_its_tenant_left_alone(status: int) -> None:
    pushing = burst("eve", HOUR_S, HOUR_S + 30) + [
        item | {"id": item["id"] + "p"} for item in burst("eve", HOUR_S + 30, 2 * HOUR_S, 300, status_code=status)
    ]
    found = run(in_order(people(2 * HOUR_S), pushing, clock(2 * HOUR_S)), policy(rungs=no_block()))
    assert {(d.scope, d.account_id) for d in found} == {("account", "eve")}
    assert Action.ALLOW not in {d.action for d in found}
    assert found[-1].expires_at > time_of(2 * HOUR_S - 60)


def test_an_account_stays_on_its_rung_while_its_tenant_is_only_observed() -> None:
    """Half of what it does fails, which the tenant is observed for."""
    pushing = burst("eve", HOUR_S, HOUR_S + 30) + [
        item | {"id": item["id"] + "p", "status_code": 400 if k % 2 else 429}
        for k, item in enumerate(burst("eve", HOUR_S + 30, 2 * HOUR_S, 300))
    ]
    found = run(in_order(people(2 * HOUR_S), pushing, clock(2 * HOUR_S)), policy(rungs=no_block()))
    assert ("tenant", None, "observe") in told(found)
    assert ("account", "eve", "throttle") in told(found)
    assert ("account", "eve", "allow") not in told(found)


def no_block() -> dict[Any, Any]:
    rungs = POLICY.model_dump()["rungs"]
    return {name: rule for name, rule in rungs.items() if name is not Action.BLOCK}


def test_an_operators_word_on_the_account_holds() -> None:
    detector = new_detector()
    instruct(detector, 0, operator_record("allow", 0, subject="account:acme/eve", expires_s=9 * HOUR_S))
    stream = in_order(people(HOUR_S + 300), burst("eve", HOUR_S, HOUR_S + 60), clock(HOUR_S + 300))
    assert decisions(detector.handle(records(stream))) == []


def test_standing_of_accounts_survives_a_restart() -> None:
    stream = in_order(people(HOUR_S + 900), burst("eve", HOUR_S, HOUR_S + 120), clock(HOUR_S + 900))
    arrivals = records(stream)
    encoded: dict[str, bytes] = {}
    found: list[Decision] = []
    for start in range(0, len(arrivals), 450):
        detector = new_detector(encoded=encoded)
        found += [e.decision for e in detector.handle(arrivals[start : start + 450]) if isinstance(e, EmitDecision)]
        detector.take_changes()
    assert told(found) == told(run(stream))


def test_counts_by_account_are_bounded_and_never_too_high() -> None:
    pane, asked = Pane(0, 0, 0, 0, "x"), {"heavy": 0}
    for k in range(3_000):
        account = 1 if k % 3 else 10 + k
        pane.counts_of(account).requests += 1
        asked["heavy"] += account == 1
    assert len(pane.heavy) <= MAX_HEAVY
    assert asked["heavy"] * 0.9 <= pane.heavy[1].requests <= asked["heavy"]
