"""From windows to scores: which features of a tenant are out of their usual range, and which rung that reaches."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from stream_app.detection.decisions import Action
from stream_app.detection.features import (
    CODES,
    FEATURES,
    MIN_SHAPE_REQUESTS,
    PER_MINUTE,
    PER_TEN_MINUTES,
    SHAPES,
    SUMS,
    Counter,
    Feature,
)
from stream_app.detection.policy import Policy, RungRule
from stream_app.detection.scorers import Baseline, Expectation
from stream_app.detection.state import TenantState
from stream_app.detection.windows import MAX_MODELS, PANES, Pane, Totals, is_block_end, shape_values

#: Share of the usual model mix that a closed ten-minute block replaces: a day of active blocks.
_MIX_MEMORY = 144.0
_REQUESTS_60S, _REQUESTS_600S = CODES.index("requests_60s"), CODES.index("requests_600s")


class Scored(NamedTuple):
    """One feature above its floor: what was seen, what is usual, and how unlikely that is (0..1)."""

    feature: Feature
    value: float
    expectation: Expectation
    score: float


def expect(state: TenantState, index: int) -> Expectation:
    """What is usual for a feature, given by its place in ``FEATURES``."""
    baseline = state.baselines[index] if index < len(state.baselines) else None
    return (baseline or Baseline()).expect(FEATURES[index].prior)


def score_values(state: TenantState, policy: Policy, values: Iterable[tuple[int, float]]) -> list[Scored]:
    """Score (feature place, value) pairs, worst first; values at or below their floor are out of the question."""
    floors = policy.floors
    scored = []
    for index, value in values:
        if value > floors[index]:
            expectation = expect(state, index)
            scored.append(Scored(FEATURES[index], value, expectation, expectation.score(value)))
    return sorted(scored, key=lambda s: -s.score)


def sum_values(state: TenantState, newest: int) -> list[tuple[int, float]]:
    """Values of all sums in the windows that end with pane ``newest``, open or closed; denied requests not counted.

    The ten minutes end with the newest minute: late events may have made one that is newer than all panes.
    """
    windows = state.windows
    short, long = windows.sum_panes(newest), windows.sum_long(max(windows.minutes, default=newest // PANES))
    pane = windows.panes.get(newest)
    return [(index, _sum_value(FEATURES[index], pane, short, long)) for index in SUMS]


def _sum_value(feature: Feature, pane: Pane | None, short: Totals, long: Totals) -> float:
    assert feature.counter is not None  # noqa: S101
    if feature.window_s == 10:
        return pane.requests if pane else 0
    return (short if feature.window_s == 60 else long)[feature.counter]


class ClosedMinute(NamedTuple):
    """Values at the close of a minute: ``served`` is learned, ``asked`` (with denied requests) is judged.

    A throttled tenant that keeps pushing is judged by what it asks for; otherwise it would look calm, be released, and
    oscillate. A tenant on no rung is judged by what was served: a denial that is not ours is no evidence.
    """

    served: list[tuple[int, float]]
    asked: list[tuple[int, float]]


def closed_values(state: TenantState, minute: int) -> ClosedMinute:
    """Values of all features in the windows that end with a closed minute."""
    windows = state.windows
    short, long = windows.sum_panes(minute * PANES + PANES - 1), windows.sum_long(minute)
    peak, asked_peak = windows.peak_pane(minute)
    served: list[tuple[int, float]] = []
    asked: list[tuple[int, float]] = []
    for index in SUMS:
        feature = FEATURES[index]
        totals = short if feature.window_s == 60 else long
        value = peak if feature.window_s == 10 else totals[feature.counter or Counter.REQUESTS]
        served.append((index, value))
        if feature.counter is Counter.REQUESTS:
            value = asked_peak if feature.window_s == 10 else value + totals[-1]
        asked.append((index, value))
    if long[Counter.REQUESTS] >= MIN_SHAPE_REQUESTS:
        shapes = shape_values(long, windows.distinct_accounts(minute), windows.mix(minute), state.models)
        pairs = list(zip(SHAPES, shapes, strict=True))
        served += pairs
        asked += pairs
    return ClosedMinute(served, asked)


class Bar(NamedTuple):
    """A rung and the score that counts for it: ``enter`` to get there, ``leave`` to stay."""

    rung: Action
    score: float


def reaching(policy: Policy, scored: Sequence[Scored], bar: Bar) -> list[Scored]:
    """The features that reach the bar and are allowed to."""
    return [
        s
        for s in scored
        if s.score >= bar.score and policy.features[s.feature.code].up_to.severity >= bar.rung.severity
    ]


def rung_reached(policy: Policy, scored: Sequence[Scored], rungs: Sequence[tuple[Action, RungRule]]) -> Action | None:
    """The highest of ``rungs`` (mildest first) that some feature reaches and is allowed to reach."""
    for rung, rule in reversed(rungs):
        if reaching(policy, scored, Bar(rung, rule.enter)):
            return rung
    return None


def room(
    state: TenantState, policy: Policy, values: Iterable[tuple[int, float]], rungs: Sequence[tuple[Action, RungRule]]
) -> list[float]:
    """How far each counter (``features.Counter``) may grow until some sum may reach the first of ``rungs``.

    Up to a feature's floor no level need be worked out: the floor is the room. Later sums never exceed today's plus
    what is counted, because windows only lose panes as they slide, so the room stays a safe one until baseline,
    policy or standing change.
    """
    left = [inf] * len(Counter)
    for index, value in values:
        level = policy.floors[index]
        if value > level:
            level = _trip_level(state, policy, index, rungs)
        counter = FEATURES[index].counter or Counter.REQUESTS
        left[counter] = min(left[counter], level - value)
    return left


def _trip_level(state: TenantState, policy: Policy, index: int, rungs: Sequence[tuple[Action, RungRule]]) -> float:
    """The value above which a feature reaches the first of ``rungs``; infinite when it cannot reach any."""
    rule = policy.features.get(FEATURES[index].code)
    if rule is None or not rungs or rungs[0][0].severity > rule.up_to.severity:
        return inf
    return max(rule.floor, expect(state, index).level(policy.quantiles[rungs[0][0]]))


def learn(state: TenantState, policy: Policy, minute: int, values: Iterable[tuple[int, float]]) -> None:
    """Learn a closed minute, and at the end of each ten of them the block; windows without an answer are not learned.

    A value beyond the mildest rung is learned as that rung's trip level, so that an outlier moves the baseline no more
    than the largest ordinary value would.
    """
    block_ends = is_block_end(minute)
    known = dict(values)
    places: list[int] = []
    if known[_REQUESTS_60S]:
        places += PER_MINUTE
    if block_ends and known[_REQUESTS_600S]:
        places += PER_TEN_MINUTES
    if len(state.baselines) < len(FEATURES):
        state.baselines += [None] * (len(FEATURES) - len(state.baselines))
    for index in places:
        if (value := known.get(index)) is not None:
            _learn_one(state, policy, index, value)
    if block_ends:
        _learn_mix(state, minute)


def _learn_one(state: TenantState, policy: Policy, index: int, value: float) -> None:
    if value > policy.floors[index]:
        level = expect(state, index).level(policy.quantiles[policy.ladder[0][0]])
        value = min(value, max(policy.floors[index], level))
    baseline = state.baselines[index]
    if baseline is None:
        baseline = state.baselines[index] = Baseline()
    baseline.learn_one(value, FEATURES[index].memory)


def _learn_mix(state: TenantState, minute: int) -> None:
    mix = state.windows.mix(minute)
    if requests := sum(mix.values()):
        keep = 1.0 - 1.0 / _MIX_MEMORY
        usual = {model: weight * keep for model, weight in state.models.items()}
        for model in sorted(mix):
            usual[model] = usual.get(model, 0.0) + mix[model] / requests
        state.models = dict(sorted(usual.items(), key=lambda entry: -entry[1])[:MAX_MODELS])
