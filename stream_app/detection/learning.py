"""What a closed minute teaches: baselines, the day's rhythm and the usual model mix."""

from collections.abc import Iterable, Sequence, Set

from stream_app.detection.features import ASKING, CODES, FEATURES, LASTING, PER_MINUTE, PER_TEN_MINUTES, SHIFTS
from stream_app.detection.floors import expect, is_known, own_floor, shifts
from stream_app.detection.policy import Policy
from stream_app.detection.rhythms import Rhythm, Shifts
from stream_app.detection.scorers import Baseline
from stream_app.detection.state import TenantState
from stream_app.detection.windows import MAX_MODELS, is_block_end

#: Of each feature: its memory, its recent level if it is judged against one, its place among the hour's shifts, and
#: whether it is how a client asks.
_LEARNED = tuple(
    (f.memory, f.recent, shift, i in ASKING) for i, (f, shift) in enumerate(zip(FEATURES, SHIFTS, strict=True))
)
#: What a window weighs in which a client asks in a way that leads to a rung.
_DOUBTED = 0.1
#: Share of the usual model mix that a closed ten-minute block replaces: a day of active blocks.
_MIX_MEMORY = 144.0
_REQUESTS_60S, _REQUESTS_600S = CODES.index("requests_60s"), CODES.index("requests_600s")


def learn(
    state: TenantState,
    policy: Policy,
    minute: int,
    values: Iterable[tuple[int, float]],
    suspect: Set[int] = frozenset(),
) -> None:
    """Learn a closed minute, and at the end of each ten of them the block; windows without an answer are not learned.

    A value beyond the mildest rung is learned as that rung's trip level, so that an outlier moves the baseline no more
    than the largest ordinary value would. How a client asks is learned so with a tenth of the weight: another way that
    lasts is usual after days, and an extraction of hours does not become so. ``suspect`` are features that led
    to a rung otherwise: by how newcomers ask.
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
    doubted, floors = set(suspect), policy.small_floors
    for index, value in known.items():
        if value > floors[index] and not FEATURES[index].recent:
            most = _most_to_learn(state, policy, index, minute)
            if value > most:
                known[index] = most
                doubted.add(index)
    if state.rhythm is not None:
        _gather(state.rhythm, state.baselines, minute, known, places)
    _learn_windows(state.baselines, shifts(state, minute), known, places, doubted)
    if block_ends:
        _learn_mix(state, minute)


def learn_lasting(state: TenantState, over: Sequence[int]) -> None:
    """Learn the requests of spans that are over (``Hours.add``); one in which nothing was asked is not learned."""
    for place, requests in zip(LASTING, over, strict=False):
        feature = FEATURES[place]
        if requests and feature.recent is not None:
            baseline = state.baselines[place] = state.baselines[place] or Baseline()
            baseline.learn_recent(requests, feature.memory, feature.recent)


def _gather(
    rhythm: Rhythm, baselines: Sequence[Baseline | None], minute: int, known: dict[int, float], places: list[int]
) -> None:
    for index, windows in ((_REQUESTS_60S, rhythm.minutes), (_REQUESTS_600S, rhythm.blocks)):
        if index in places and (baseline := baselines[index]) is not None:
            rhythm.gather(minute, windows, known[index], float(baseline.mean))


def _learn_windows(
    baselines: list[Baseline | None], hour: Shifts, known: dict[int, float], places: Iterable[int], doubted: Set[int]
) -> None:
    for index in places:
        if (value := known.get(index)) is not None:
            (memory, recent, shift, is_asking), baseline = _LEARNED[index], baselines[index]
            if baseline is None:
                baseline = baselines[index] = Baseline()
            if recent:
                baseline.learn_recent(value, memory, recent)
            else:
                baseline.learn_one(value, memory, hour[shift], _DOUBTED if is_asking and index in doubted else 1.0)


def _most_to_learn(state: TenantState, policy: Policy, index: int, minute: int) -> float:
    expectation = expect(state, index, minute)
    level = expectation.level(policy.quantiles[policy.ladder[0][0]])
    return max(own_floor(policy, index, expectation, is_known=is_known(state)), level)


def _learn_mix(state: TenantState, minute: int) -> None:
    mix = state.windows.mix(minute)
    if requests := sum(mix.values()):
        keep = 1.0 - 1.0 / _MIX_MEMORY
        usual = {model: weight * keep for model, weight in state.models.items()}
        for model in sorted(mix):
            usual[model] = usual.get(model, 0.0) + mix[model] / requests
        state.models = dict(sorted(usual.items(), key=lambda entry: -entry[1])[:MAX_MODELS])
