"""The ladder one subject stands on: a transition table with hysteresis, cool-down and growing time to live."""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, field

from stream_app.detection.decisions import Action
from stream_app.detection.policy import Policy
from stream_app.detection.rules import RungRule, Step, denies, rank

#: A return within this time counts as a repeat and doubles the time to live.
STRIKE_MEMORY_MS = 86_400_000
#: A release stays readable this much longer than any older decision could have lived, so that a consumer which slept
#: still meets it; then the key is forgotten.
RELEASE_KEEP_MS = 86_400_000
_NEVER = 1 << 62
_ALLOW = Action.ALLOW


class Verdict(StrEnum):
    """What the scores say about a subject on some rung."""

    ABOVE = "above"  # a higher rung is reached
    HOLDS = "holds"  # the rung's leave score is still reached
    BELOW = "below"  # less than that


class Move(StrEnum):
    """What happens to the subject's standing."""

    STAY = "stay"
    ENTER = "enter"
    RENEW = "renew"
    RELEASE = "release"


class Standing(Struct, array_like=True, gc=False):
    """Where one subject stands. Times are milliseconds of event time.

    ``over_ms`` is when the rung's leave score was last reached, ``since_ms`` when the subject last left allow,
    ``wakes_ms`` when it must be looked at even if silent: the end of the cool-down, or of a release's life. ``seen``
    holds the most that was seen of each feature (by place) that kept the subject here; ``is_withheld`` says that the
    harm budget kept it from a higher rung. ``denied_ms`` is when it was first denied something (0: not, or not said).
    """

    rung: Action
    since_ms: int
    over_ms: int
    expires_ms: int
    strikes: int
    decision_id: str
    wakes_ms: int
    released_ms: int = 0
    simulated: bool = False
    is_withheld: bool = False
    seen: dict[int, float] = field(default_factory=dict)
    denied_ms: int = 0

    @property
    def is_up(self) -> bool:
        """Whether the subject stands on a rung at all."""
        return self.rung is not _ALLOW


#: (verdict, half of the life is over, cool-down is over) → move. Everything else stays.
_MOVES: dict[tuple[Verdict, bool, bool], Move] = {
    (Verdict.ABOVE, False, False): Move.ENTER,
    (Verdict.ABOVE, True, False): Move.ENTER,
    (Verdict.HOLDS, True, False): Move.RENEW,
    (Verdict.BELOW, False, True): Move.RELEASE,
    (Verdict.BELOW, True, True): Move.RELEASE,
}


def reachable(policy: Policy, standing: Standing | None, now_ms: int, can_deny: bool = True) -> list[Step]:
    """Steps above the present one whose ``after_s`` has passed, lowest first.

    Without ``can_deny``, none that would take something from a subject which has it still.
    """
    if can_deny and (standing is None or not standing.is_up):
        return policy.reach.steps
    place, waited_ms, is_denied = rank(Action.ALLOW, True), 0, False
    is_denied_in_truth = False
    if standing and standing.is_up:
        place, waited_ms = rank(standing.rung, standing.simulated), now_ms - _waits_since_ms(policy, standing)
        is_denied = denies(standing.rung)
        is_denied_in_truth = is_denied and not standing.simulated
    return [
        step
        for step in policy.steps
        if step.rank > place
        and (step.rule.after_s == 0 or waited_ms >= step.rule.after_s * 1000)
        and (can_deny or not denies(step.rung) or (is_denied if step.simulated else is_denied_in_truth))
    ]


def next_reach_ms(policy: Policy, standing: Standing | None, now_ms: int) -> int:
    """When ``reachable`` will next say more than now, as long as the subject stays on its rung."""
    if standing is None or not standing.is_up:
        return _NEVER
    place = rank(standing.rung, standing.simulated)
    since_ms = _waits_since_ms(policy, standing)
    times = [since_ms + step.rule.after_s * 1000 for step in policy.steps if step.rank > place and step.rule.after_s]
    return min((time_ms for time_ms in times if time_ms > now_ms), default=_NEVER)


def next_move(policy: Policy, standing: Standing | None, verdict: Verdict, now_ms: int) -> Move:
    """Look the move up; ``standing.over_ms`` must already include a verdict of now."""
    if standing is None or not standing.is_up:
        return Move.ENTER if verdict is Verdict.ABOVE else Move.STAY
    rule = policy.rungs.get(standing.rung)  # type: ignore[call-overload]
    life_ms = rule.ttl_s * 1000 if rule else 0
    half_over = standing.expires_ms - now_ms <= life_ms // 2
    cooled = verdict is Verdict.BELOW and now_ms - standing.over_ms >= policy.cool_down_s * 1000
    return _MOVES.get((verdict, half_over, cooled), Move.STAY)


def _waits_since_ms(policy: Policy, standing: Standing) -> int:
    """Since when a subject has been able to understand what a rung with ``after_s`` would do to it.

    An observation is told to nobody whom it is about: where a milder rung denies something, time is counted from there.
    """
    first = next((rule for rung, rule in policy.ladder if denies(rung)), None)
    if first is None or first.after_s:
        return standing.since_ms
    return (standing.denied_ms or standing.since_ms) if denies(standing.rung) else _NEVER


def denied_since_ms(standing: Standing | None, rung: Action, now_ms: int) -> int:
    """``Standing.denied_ms`` of a subject that stood somewhere and is put on a rung."""
    if not denies(rung):
        return 0
    if standing is None or not denies(standing.rung):
        return now_ms
    return standing.denied_ms or standing.since_ms


class Life(NamedTuple):
    """How long a decision lives and how often its subject has been here."""

    ttl_ms: int
    strikes: int


def life(rule: RungRule, standing: Standing | None, now_ms: int, *, is_lasting: bool = False) -> Life:
    """Time to live of a decision made now: ``ttl_s`` doubled for each return within a day.

    One that ``is_lasting`` lives as long again as its subject has been up, so that what lasts for days is said ever
    more rarely.
    """
    strikes, up_ms = 0, 0
    if standing is not None:
        strikes = standing.strikes
        if not standing.is_up:
            strikes = strikes + 1 if now_ms - standing.released_ms < STRIKE_MEMORY_MS else 0
        elif is_lasting:
            up_ms = now_ms - standing.since_ms
    return Life(min(max(rule.ttl_s * 1000 << min(strikes, 30), up_ms), rule.max_ttl_s * 1000), strikes)


def release(policy: Policy, standing: Standing, now_ms: int) -> None:
    """Put a subject back to allow, in place."""
    standing.rung = Action.ALLOW
    standing.is_withheld, standing.seen = False, {}
    standing.released_ms = now_ms
    standing.expires_ms = now_ms + policy.longest_ttl_s * 1000 + RELEASE_KEEP_MS
    standing.wakes_ms = standing.expires_ms
