"""What a closed minute teaches: ordinary ways of asking, and hardly those that lead to a rung."""

from stream_app.detection.decisions import Action, Decision
from tests.unit.streams import EventFields, in_order, policy, run, steady

HOUR_S = 3_600
LOGPROBS = policy(features={"logprobs_percent_600s": {"floor": 30, "up_to": "observe"}})
CLOCK = steady(0.3, 30 * HOUR_S, 12, "other")


def told(changed_h: float) -> list[Decision]:
    """What is said of a tenant that asks for log probabilities with every request, from its fifth hour on."""
    plain = steady(0, 4 * HOUR_S, 6, logprobs=False)
    changed: list[EventFields] = steady(4 * HOUR_S, (4 + changed_h) * HOUR_S, 6, name="changed", logprobs=True)
    clock = [request for request in CLOCK if request["time"] <= changed[-1]["time"]]
    return [d for d in run(in_order(plain, changed, clock), LOGPROBS) if d.tenant_id == "acme"]


def test_who_is_watched_for_hours_does_not_become_ordinary_by_going_on() -> None:
    found = told(4)
    assert {d.action for d in found} == {Action.OBSERVE}
    assert found[-1].reasons[0].expected < 10


def test_a_way_of_asking_that_lasts_a_day_is_learned() -> None:
    assert told(24)[-1].action is Action.ALLOW


def test_longer_prompts_are_hardly_learned_while_they_are_watched() -> None:
    plain, longer = steady(0, 4 * HOUR_S, 6), steady(4 * HOUR_S, 8 * HOUR_S, 6, name="longer", input_tokens=60_000)
    clock = [request for request in CLOCK if request["time"] <= longer[-1]["time"]]
    rules = policy(features={"input_per_request_600s": {"floor": 4000, "up_to": "observe"}})
    found = [d for d in run(in_order(plain, longer, clock), rules) if d.tenant_id == "acme"]
    assert {d.action for d in found} == {Action.OBSERVE}
    assert found[-1].reasons[0].expected < 1000
