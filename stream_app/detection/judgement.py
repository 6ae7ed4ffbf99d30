"""From windows to scores: which features of a tenant are out of their usual range, and which rung that reaches."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stream_app.detection.features import (
    FEATURES,
    GROWTH,
    LASTING,
    MIN_SHAPE_REQUESTS,
    SHAPE_MINUTES,
    SUMS,
    Feature,
)
from stream_app.detection.floors import Known, Usual, expect, known, least_floors, own_floor
from stream_app.detection.hours import SPANS
from stream_app.detection.light_shapes import (
    LIGHT_PLACES,
    LightWindow,
    Part,
    light_values,
    open_part,
    window_requests,
)
from stream_app.detection.newcomers import COMPARED, Newcomers, is_new
from stream_app.detection.policy import Policy
from stream_app.detection.services import Services
from stream_app.detection.shape_windows import shape_values
from stream_app.detection.state import TenantState
from stream_app.detection.windows import MIDDLE_MINUTES, PANES, Minute, Totals

#: Of each sum: its place in ``FEATURES``, which window it is over, its counter (as a plain number, for speed).
_WINDOWS_S = (10, 60, 180, 600)
_SUM_PLACES = tuple(
    (index, _WINDOWS_S.index(FEATURES[index].window_s), int(FEATURES[index].counter or 0)) for index in SUMS
)


class Scored(NamedTuple):
    """A feature above its floor, by its place in the table: what was seen, what is usual, how unlikely it is (0..1).

    ``known``: how much has been seen of the tenant.
    """

    place: int
    value: float
    expectation: Usual
    score: float
    known: Known

    @property
    def feature(self) -> Feature:
        """Its row of the table."""
        return FEATURES[self.place]


def score_values(state: TenantState, policy: Policy, values: Iterable[tuple[int, float]], minute: int) -> list[Scored]:
    """Score (feature place, value) pairs of windows that end with a minute, worst first.

    Values at or below their floor are out of the question.
    """
    floors = least_floors(state, policy)
    above = [(index, value) for index, value in values if value > floors[index]]
    if not above:  # nearly always
        return []
    how_known, scored = known(state), []
    for index, value in above:
        expectation = expect(state, index, minute)
        if value > own_floor(policy, index, expectation, is_known=how_known is not Known.NOT):
            scored.append(Scored(index, value, expectation, expectation.score(value), how_known))
    return sorted(scored, key=lambda s: -s.score)


def score_newcomer(
    state: TenantState,
    policy: Policy,
    scored: Sequence[Scored],
    values: Iterable[tuple[int, float]],
    newcomers: Newcomers,
) -> Sequence[Scored]:
    """The same scores for a tenant that may be new, worst first: how it asks is also judged by how others began.

    What makes a newcomer unusual among newcomers is worth a look and denies nothing.
    """
    floors = policy.floors
    above = [(place, value) for place, value in values if place in COMPARED and value > floors[place]]
    if not above:
        return scored
    best = {s.place: s for s in scored}
    for place, value in above:
        peers = newcomers.expect(place) if is_new(state.baselines, place) else None
        if peers is not None and (place not in best or peers.score(value) > best[place].score):
            best[place] = Scored(place, value, peers, peers.score(value), known(state))
    return sorted(best.values(), key=lambda s: -s.score)


def sum_values(state: TenantState, newest: int, without: Sequence[int] = ()) -> list[tuple[int, float]]:
    """Values of all sums in the windows that end with pane ``newest``, open or closed; denied requests not counted.

    ``without`` are accounts (CRC-32) whose requests are left out.

    The ten minutes end with the newest minute: late events may have made one that is newer than all panes.
    """
    windows = state.windows
    last = max(windows.minutes, default=newest // PANES)
    return _values_of(
        windows.sum_pane(newest, without),
        windows.sum_panes(newest, without),
        windows.sum_from(last - MIDDLE_MINUTES + 1, last, without),
        windows.sum_long(last, without),
    )


def _values_of(*totals: Sequence[int]) -> list[tuple[int, float]]:
    """Values of all sums, from what was counted in each of the windows."""
    return [(index, totals[window][counter]) for index, window, counter in _SUM_PLACES]


def _asked(totals: Totals) -> Sequence[int]:
    """The same with denied requests among the requests."""
    return totals[0] + totals[-1], *totals[1:]


def is_up(state: TenantState) -> bool:
    """Whether the tenant, or an account of it, stands on a rung."""
    if state.standing is not None and state.standing.is_up:
        return True
    return bool(state.accounts) and any(s.is_up for s in state.accounts.values())


class ClosedMinute(NamedTuple):
    """Values at the close of a minute: ``served`` is learned, ``asked`` (with denied requests) is judged.

    A throttled tenant that keeps pushing is judged by what it asks for; otherwise it would look calm, be released, and
    oscillate. A tenant on no rung is judged by what was served: a denial that is not ours is no evidence. ``light`` is
    the longer window behind the values of shapes, where ten minutes hold too few requests; ``block`` is what its block
    has told, if that was looked at.
    """

    served: list[tuple[int, float]]
    asked: list[tuple[int, float]]
    light: LightWindow | None = None
    block: Part | None = None


def closed_values(
    state: TenantState, minute: int, services: Services, without: Sequence[int] = (), closed: Minute | None = None
) -> ClosedMinute:
    """Values of all features in the windows that end with a closed minute, sums without those of some accounts.

    ``closed`` is the minute itself when it was closed just now: it has the sums of its panes, and nothing late yet.
    """
    windows = state.windows
    if closed is None or without:
        short = windows.sum_panes(minute * PANES + PANES - 1, without)
    else:
        short = closed.requests, closed.input_tokens, closed.output_tokens, closed.errors, closed.denied
    middle = windows.sum_from(minute - MIDDLE_MINUTES + 1, minute, without)
    long = windows.sum_long(minute, without)
    peak, asked_peak = windows.peak_pane(minute, without)
    served = asked = _values_of((peak,), short, middle, long)
    if long[-1]:
        asked = _values_of((asked_peak,), _asked(short), _asked(middle), _asked(long))
    watched = is_up(state)
    if minute % SHAPE_MINUTES != SHAPE_MINUTES - 1 and not watched:
        return ClosedMinute(served, asked)
    shapes: list[tuple[int, float]] = []
    if long[0] >= MIN_SHAPE_REQUESTS:
        shapes += shape_values(windows, minute, long, state.models, services.new_models(minute))
    light = block = None
    wanted = window_requests(watched)
    if state.light is not None and not without and long[0] < wanted:
        block = open_part(windows, minute)
        light, values = light_values(state.light, block, minute, max(long[0], MIN_SHAPE_REQUESTS), wanted)
        if light is not None:
            shapes = [pair for pair in shapes if pair[0] not in LIGHT_PLACES] + values
    own = windows.long(minute)
    if long[0] + sum([part.failed for part in own]) >= MIN_SHAPE_REQUESTS:
        shapes += services.compare(minute, own, windows.sum_long(minute)[0] if without else long[0])
    if state.hours is not None:
        shapes += [(place, state.hours.total(minute, span)) for place, span in zip(LASTING, SPANS, strict=True)]
    if state.growth is not None and state.growth.percent is not None:
        shapes.append((GROWTH, state.growth.percent))
    return ClosedMinute(served + shapes, asked + shapes, light, block)
