"""Which rung scores reach: a feature alone, kinds of shapes that move together, and newcomers beside newcomers."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from stream_app.detection.decisions import Action
from stream_app.detection.floors import floor_for
from stream_app.detection.judgement import Scored
from stream_app.detection.newcomers import PeerExpectation
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Step, denies

#: How many independent shapes three moving together are taken for.
_TOGETHER_POWER = 1.5


class Bar(NamedTuple):
    """A rung and the score that counts for it: ``enter`` to get there, ``leave`` to stay."""

    rung: Action
    score: float
    simulated: bool

    @property
    def together(self) -> float:
        """The score that each of several kinds of shape must reach for the bar to be reached together.

        Three independent ones beyond p would be a chance of p³; as the shapes of one client hang together, they count
        as p to the power of one and a half.
        """
        return 1.0 - float((1.0 - self.score) ** (1.0 / _TOGETHER_POWER))


def bar_of(step: Step) -> Bar:
    """What it takes to enter a step."""
    return Bar(step.rung, step.rule.enter, step.simulated)


def reaching(policy: Policy, scored: Sequence[Scored], bar: Bar) -> list[Scored]:
    """The features that reach the bar and are allowed to, alone or together."""
    alone = [
        s
        for s in scored
        if s.score >= bar.score
        and policy.features[s.feature.code].may(bar.rung, bar.simulated)
        and s.value > floor_for(policy, s.place, bar.rung, s.expectation, s.known)
    ]
    return alone + [s for s in _together(policy, scored, bar) if s not in alone]


def _together(policy: Policy, scored: Sequence[Scored], bar: Bar) -> list[Scored]:
    rule = policy.together
    if rule is None or rule.up_to.severity < bar.rung.severity:
        return []
    level = bar.together
    open_to = [
        s for s in scored if s.feature.kind and (bar.simulated or policy.features[s.feature.code].mode == "enforced")
    ]
    found = [s for s in open_to if s.score >= level]
    if len({s.feature.kind for s in found}) >= rule.kinds:
        return found
    return [] if denies(bar.rung) else _among_newcomers(open_to, level, rule.newcomer_kinds)


def _among_newcomers(scored: Sequence[Scored], level: float, kinds: int) -> list[Scored]:
    """Of each of so many kinds the most unusual among newcomers, if their tails' geometric mean reaches the level.

    A newcomer is judged so a few times and no more, so that this is a share of newcomers and not of windows.
    """
    best: dict[str, Scored] = {}
    for s in scored:
        if isinstance(s.expectation, PeerExpectation):
            best.setdefault(s.feature.kind, s)
    found = list(best.values())[:kinds]
    if len(found) < kinds or prod(1.0 - s.score for s in found) > (1.0 - level) ** kinds:
        return []
    return found


def step_reached(policy: Policy, scored: Sequence[Scored], steps: Sequence[Step]) -> Step | None:
    """The highest of ``steps`` (lowest first) that is reached."""
    for step in reversed(steps):
        if reaching(policy, scored, bar_of(step)):
            return step
    return None
