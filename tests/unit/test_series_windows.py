"""Series of one account in the core: who repeats a refused goal is decided on, who asks one odd thing is not."""

import random
from itertools import pairwise
from typing import Any

import msgspec

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.policy import Policy
from stream_app.detection.state import decode_tenant
from stream_app.sketches import Key, sketch_prompt
from tests.unit.streams import BEGIN_MS, POLICY, EventFields, event, in_order, new_detector, records, run, steady, to_ms

KEY = Key("k", bytes(range(32)))
WITH_SERIES = Policy.model_validate(
    POLICY.model_dump()
    | {
        "features": POLICY.model_dump()["features"]
        | {
            "attacks_3600s": {"floor": 5, "up_to": "throttle"},
            "refused_retries_3600s": {"floor": 10, "up_to": "observe"},
        }
    }
)


def words(rng: random.Random, count: int) -> str:
    return " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count))


def asked(time_s: float, text: str, account: str, **fields: Any) -> EventFields:
    sketch = msgspec.to_builtins(sketch_prompt(text, key=KEY))
    return event(time_s, id=f"{account}-{time_s}", account_id=account, prompt=sketch, **fields)


def attack(begin_s: int, tries: int, account: str = "mallory", every_s: int = 20) -> list[EventFields]:
    """One goal again and again with a few other words at its end, always refused."""
    rng = random.Random(5)
    goal = words(rng, 60)
    return [
        asked(begin_s + k * every_s, f"{goal} {words(rng, 4)}", account, refused=True, status_code=200)
        for k in range(tries)
    ]


def usual(end_s: int) -> list[EventFields]:
    return in_order(*(steady(0, end_s, 2, name=f"user-{k}", account_id=f"user-{k}") for k in range(4)))


def told(events: list[EventFields]) -> list[Decision]:
    return run(events, WITH_SERIES)


def test_an_account_that_repeats_a_refused_goal_is_observed_then_throttled() -> None:
    found = told(in_order(usual(5_400), attack(3_600, 60)))
    assert [d.action for d in found[:2]] == [Action.OBSERVE, Action.THROTTLE]
    assert {(d.scope, d.account_id) for d in found} == {("account", "mallory")}
    assert found[0].reasons[0].code == "attacks_3600s"
    assert 5 < found[0].reasons[0].observed < 15
    assert "attacks_3600s ≤ 6" in str(found[0].counterfactual)
    assert found[1].reasons[0].observed > 14


def test_an_account_that_goes_through_jailbreaks_and_is_refused_is_observed() -> None:
    rng = random.Random(8)
    tried = [
        asked(3_600 + 60 * k, words(rng, 60), "mallory", refused=k % 3 > 0, scores={"jailbreak": 0.95})
        for k in range(20)
    ]
    found = told(in_order(usual(5_400), tried))
    assert {(d.action, d.account_id, d.reasons[0].code) for d in found} == {
        (Action.OBSERVE, "mallory", "attacks_3600s")
    }
    assert told(in_order(usual(5_400), tried[:8])) == []


def test_it_stays_on_its_rung_while_it_goes_on_and_is_released_afterwards() -> None:
    found = told(in_order(usual(12_000), attack(3_600, 12)))
    assert [d.action for d in found if d.action is not Action.OBSERVE] == [Action.ALLOW]
    assert found[-1].action is Action.ALLOW


def test_five_edits_are_no_attack() -> None:
    assert told(in_order(usual(5_400), attack(3_600, 8))) == []


def test_one_odd_question_is_nothing() -> None:
    rng = random.Random(3)
    others = [asked(3_600 + 60 * k, words(rng, 40), "carol") for k in range(30)]
    odd = [asked(3_650, words(rng, 40), "carol", refused=True, scores={"jailbreak": 0.95})]
    assert told(in_order(usual(5_400), others, odd)) == []


def test_an_account_that_is_alone_is_its_tenant() -> None:
    found = told(in_order(steady(0, 5_400, 2, account_id="mallory"), attack(3_600, 60)))
    assert [d.action for d in found[:2]] == [Action.OBSERVE, Action.THROTTLE]
    assert {d.scope for d in found} == {"tenant"}


def test_ordinary_prompts_leave_no_series_in_the_state() -> None:
    rng = random.Random(4)
    detector = new_detector(WITH_SERIES)
    detector.handle(records([asked(30 * k, words(rng, 40), "carol") for k in range(20)]))
    assert decode_tenant(detector.take_changes()["acme"] or b"").series is None


def test_an_account_silent_for_an_hour_is_forgotten() -> None:
    detector = new_detector(WITH_SERIES)
    detector.handle(records(in_order(usual(12_000), attack(3_600, 8))))
    assert decode_tenant(detector.take_changes()["acme"] or b"").series is None


def test_what_lasts_is_said_ever_more_rarely() -> None:
    features = WITH_SERIES.model_dump()["features"] | {"attacks_3600s": {"floor": 5, "up_to": "observe"}}
    observing = Policy.model_validate(WITH_SERIES.model_dump() | {"features": features})
    found = run(in_order(usual(16_000), attack(3_600, 600)), observing)
    assert {d.action for d in found[:-1]} == {Action.OBSERVE}
    times_s = [(to_ms(d.issued_at) - BEGIN_MS) // 1000 for d in found[:-1]]
    gaps_s = [later - sooner for sooner, later in pairwise(times_s)]
    assert gaps_s == sorted(gaps_s)
    assert 200 < gaps_s[0] < 400
    assert 2_500 < gaps_s[-1] <= 3_600
    ends_s = [(to_ms(d.expires_at) - BEGIN_MS) // 1000 for d in found[:-1]]
    assert all(end_s > next_s for end_s, next_s in zip(ends_s, times_s[1:], strict=False))


def test_who_repeats_a_refused_prompt_again_and_again_is_throttled() -> None:
    """No score, no edit: each repetition is a try, and thirty of them within ten minutes are no client's retries."""
    prompt = words(random.Random(6), 40)
    tries = [asked(3_600 + 15 * k, prompt, "mallory", refused=True) for k in range(40)]
    throttled = Policy.model_validate(
        WITH_SERIES.model_dump()
        | {
            "features": WITH_SERIES.model_dump()["features"]
            | {"refused_retries_3600s": {"floor": 6, "up_to": "throttle"}}
        }
    )
    found = run(in_order(usual(5_400), tries), throttled)
    assert [d.action for d in found[:2]] == [Action.OBSERVE, Action.THROTTLE]
    assert {(d.scope, d.account_id) for d in found} == {("account", "mallory")}
    assert run(in_order(usual(5_400), tries[:10]), throttled) == []
