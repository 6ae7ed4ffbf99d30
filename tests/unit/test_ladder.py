"""Moves on the ladder: hysteresis, cool-down, renewal at half of the life, doubling on return."""

import pytest

from stream_app.detection.decisions import Action
from stream_app.detection.ladder import (
    RELEASE_KEEP_MS,
    STRIKE_MEMORY_MS,
    Move,
    Standing,
    Verdict,
    denied_since_ms,
    life,
    next_move,
    next_reach_ms,
    reachable,
    release,
)
from tests.unit.streams import POLICY, policy

# cool-down 120 s; throttle lives 300 s, at most 2400 s; block 60 s after a lower rung


def standing(rung: Action = Action.THROTTLE, since_s: int = 0, over_s: int = 0, strikes: int = 0) -> Standing:
    return Standing(
        rung, since_s * 1000, over_s * 1000, since_s * 1000 + 300_000, strikes, "d1", over_s * 1000 + 120_000
    )


@pytest.mark.parametrize(
    ("verdict", "now_s", "over_s", "move"),
    [
        #   0 entered ......... 150 half of the life ......... 300 expiry
        (Verdict.ABOVE, 10, 10, Move.ENTER),
        (Verdict.ABOVE, 200, 200, Move.ENTER),
        (Verdict.HOLDS, 149, 149, Move.STAY),
        (Verdict.HOLDS, 150, 150, Move.RENEW),
        (Verdict.HOLDS, 400, 400, Move.RENEW),
        (Verdict.BELOW, 119, 0, Move.STAY),
        (Verdict.BELOW, 120, 0, Move.RELEASE),
        (Verdict.BELOW, 250, 140, Move.STAY),
        (Verdict.BELOW, 260, 140, Move.RELEASE),
    ],
)
def test_moves_of_a_throttled_subject(verdict: Verdict, now_s: int, over_s: int, move: Move) -> None:
    assert next_move(POLICY, standing(over_s=over_s), verdict, now_s * 1000) is move


@pytest.mark.parametrize("stood", [None, standing(Action.ALLOW)])
def test_a_free_subject_only_ever_enters(stood: Standing | None) -> None:
    moves = [next_move(POLICY, stood, verdict, 10**9) for verdict in Verdict]
    assert moves == [Move.ENTER, Move.STAY, Move.STAY]


def reached(stood: Standing, now_s: int) -> list[Action]:
    return [step.rung for step in reachable(POLICY, stood, now_s * 1000)]


def test_a_block_waits_from_the_throttle_on_however_long_it_was_observed_before() -> None:
    observed = standing(Action.OBSERVE)
    assert reached(observed, 36_000) == [Action.THROTTLE]
    assert next_reach_ms(POLICY, observed, 36_000_000) > 10**15
    throttled = standing(Action.THROTTLE)
    throttled.denied_ms = denied_since_ms(observed, Action.THROTTLE, 36_000_000)
    assert (reached(throttled, 36_059), reached(throttled, 36_060)) == ([], [Action.BLOCK])
    assert next_reach_ms(POLICY, throttled, 36_001_000) == 36_060_000


def test_a_standing_of_before_that_was_noted_waits_from_its_beginning() -> None:
    throttled = standing(Action.THROTTLE)
    assert (reached(throttled, 59), reached(throttled, 60)) == ([], [Action.BLOCK])
    assert denied_since_ms(throttled, Action.BLOCK, 60_000) == throttled.since_ms


def test_without_a_milder_denial_a_block_waits_from_the_observation_on() -> None:
    rules = policy(rungs={name: rule for name, rule in POLICY.rungs.items() if name != Action.THROTTLE})
    waited = [[step.rung for step in reachable(rules, standing(Action.OBSERVE), at_s * 1000)] for at_s in (59, 60)]
    assert waited == [[], [Action.BLOCK]]


def test_a_rung_that_the_policy_no_longer_has_is_left_after_the_cool_down() -> None:
    stood = standing(Action.CHALLENGE)
    assert next_move(POLICY, stood, Verdict.BELOW, 119_000) is Move.STAY
    assert next_move(POLICY, stood, Verdict.BELOW, 120_000) is Move.RELEASE
    assert [step.rung for step in reachable(POLICY, stood, 60_000)] == [Action.BLOCK]


def test_block_is_reachable_only_from_a_rung_stood_on_long_enough() -> None:
    def names(stood: Standing | None, now_s: int) -> list[str]:
        return [step.rung.value for step in reachable(POLICY, stood, now_s * 1000)]

    assert names(None, 10**6) == ["observe", "throttle"]
    assert names(standing(Action.ALLOW), 10**6) == ["observe", "throttle"]
    assert names(standing(Action.OBSERVE), 10**6) == ["throttle"]
    assert names(standing(Action.BLOCK), 10**6) == []


def test_next_reach_is_the_moment_reachable_says_more() -> None:
    assert next_reach_ms(POLICY, standing(), 59_999) == 60_000
    assert next_reach_ms(POLICY, standing(), 60_000) > 1 << 60
    assert next_reach_ms(POLICY, None, 0) > 1 << 60


def test_the_life_doubles_with_each_return_within_a_day_up_to_its_maximum() -> None:
    rule, stood, lives, now_ms = POLICY.rungs[Action.THROTTLE], None, [], 0
    for _ in range(6):
        now_ms += STRIKE_MEMORY_MS - 1
        ttl_ms, strikes = life(rule, stood, now_ms)
        lives.append(ttl_ms // 1000)
        stood = standing(strikes=strikes)
        release(POLICY, stood, now_ms)
    assert lives == [300, 600, 1200, 2400, 2400, 2400]
    assert life(rule, stood, now_ms + STRIKE_MEMORY_MS) == (300_000, 0)


def test_a_renewal_is_no_return() -> None:
    assert life(POLICY.rungs[Action.THROTTLE], standing(strikes=1), 10**6) == (600_000, 1)


def test_thousands_of_returns_overflow_nothing() -> None:
    stood = standing(Action.ALLOW, strikes=10**6)
    assert life(POLICY.rungs[Action.THROTTLE], stood, 1).ttl_ms == 2_400_000


def test_a_release_outlives_every_older_decision() -> None:
    stood = standing()
    release(policy(), stood, 5_000)
    assert stood.rung is Action.ALLOW
    assert stood.expires_ms == stood.wakes_ms == 5_000 + 3_600_000 + RELEASE_KEEP_MS
