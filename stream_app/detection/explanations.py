"""Decisions that explain themselves: reasons, counterfactual, limit and evidence."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, floor, inf
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from stream_app.detection.bars import Bar, reaching
from stream_app.detection.decisions import Evidence, Limit, ModelRef, Reason, Source
from stream_app.detection.features import CODES, Counter
from stream_app.detection.floors import Known, expect, floor_for, is_known, own_floor
from stream_app.detection.judgement import Scored
from stream_app.detection.light_shapes import LIGHT_PLACES, LightShapes
from stream_app.detection.newcomers import NEWCOMERS, PeerExpectation
from stream_app.detection.policy import Policy
from stream_app.detection.scorers import SCORER, SCORER_VERSION, t_quantile
from stream_app.detection.state import TenantState
from stream_app.detection.windows import PANES, Pane

MODEL = ModelRef(SCORER, SCORER_VERSION)
MAX_SAMPLES = 5
#: Beyond this a limit limits nothing; every JSON reader holds it exactly.
MAX_LIMIT = 2**53 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The first and last moments that RFC 3339 can write, the years 1 and 9999.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999


class Cause(NamedTuple):
    """What made the judge look: an event (``event_id``) or the close of a minute; ``now_ms`` is event time."""

    topic: str
    partition: int
    offset: int
    now_ms: int
    newest_pane: int
    event_id: str | None = None

    @property
    def minute(self) -> int:
        """The minute with which the windows end."""
        return self.newest_pane // PANES


def rfc3339(time_ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC, always with three decimals; years 1 to 9999, the nearest of them."""
    time_ms = min(max(time_ms, _FIRST_MS), _LAST_MS)
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reasons(policy: Policy, scored: Sequence[Scored], bar: Bar, light: LightShapes | None) -> list[Reason]:
    """Every feature that reaches the mildest rung, or the bar if that is lower; those behind the decision first.

    Shapes say over how long a window of a ``light`` tenant's few requests they were.
    """
    light_s = light.judged.minutes * 60 if light is not None and light.judged is not None else 0
    lowest = min(policy.ladder[0][1].enter, bar.score)
    causes = reaching(policy, scored, bar)
    listed = causes + [s for s in scored if s.score >= lowest and s not in causes]
    return [
        Reason(
            code=s.feature.code,
            observed=round(s.value, 3),
            expected=round(s.expectation.level(0.0), 3),
            unit=s.feature.unit,
            window_s=light_s if light_s and s.place in LIGHT_PLACES else s.feature.window_s,
            score=round(s.score, 9),
            compared_with=NEWCOMERS if isinstance(s.expectation, PeerExpectation) else UNSET,
        )
        for s in listed
    ]


def counterfactual(policy: Policy, scored: Sequence[Scored], bar: Bar) -> str:
    """The levels at which the bar would not have been reached and no decision made, all of them holding together."""
    alone, together = t_quantile(bar.score), t_quantile(bar.together) if policy.together else inf
    may_join = {s.place for s in scored if policy.together and s.feature.kind}
    levels = []
    for s in reaching(policy, scored, bar):
        quantile = min(alone, together) if s.place in may_join else alone
        least = floor_for(policy, s.place, bar.rung, s.expectation, s.known)
        if s.place in may_join:  # with others it gets there below what it takes alone
            least = own_floor(policy, s.place, s.expectation, is_known=s.known is not Known.NOT)
        level = max(least, s.expectation.level(quantile))
        if isinstance(s.expectation, PeerExpectation) and s.value <= level:
            continue  # below it as it is: others decide
        levels.append(f"{s.feature.code} ≤ {floor(level)}")
    return f"would not have fired with {' and '.join(levels)}"


def limit(state: TenantState, policy: Policy, scored: Sequence[Scored], minute: int) -> Limit:
    """What a throttled tenant may still use: its own highest ordinary minute, and never less than the floor."""
    quantile = policy.quantiles[policy.ladder[0][0]]

    def ordinary(code: str) -> int:
        index = CODES.index(code)
        usual = expect(state, index, minute)
        known = is_known(state)
        base = own_floor(policy, index, usual, is_known=known) if code in policy.features else 0.0
        return ceil(min(max(base, usual.level(quantile)), MAX_LIMIT // 2))

    tokens: int | UnsetType = UNSET
    if any(s.feature.counter in {Counter.INPUT_TOKENS, Counter.OUTPUT_TOKENS} for s in scored):
        tokens = ordinary("input_tokens_60s") + ordinary("output_tokens_60s")
    return Limit(requests_per_minute=ordinary("requests_60s"), tokens_per_minute=tokens)


def evidence(cause: Cause, panes: Sequence[Pane]) -> Evidence | UnsetType:
    """The events in ``panes``, which are in time order, and the one that tripped; nothing when there are none."""
    offsets = [offset for pane in panes for offset in (pane.first_offset, pane.last_offset)]
    times_ms = [time_ms for pane in panes for time_ms in (pane.first_ms, pane.last_ms)]
    samples = [pane.first_id for pane in panes if pane.first_id != cause.event_id][-MAX_SAMPLES:]
    if cause.event_id is not None:
        offsets.append(cause.offset)
        times_ms.append(cause.now_ms)
        samples = [*samples[1 - MAX_SAMPLES :], cause.event_id]
    if not offsets:
        return UNSET
    return Evidence(
        events=sum(pane.requests + pane.denied for pane in panes) or 1,
        first_time=rfc3339(min(times_ms)),
        last_time=rfc3339(max(times_ms)),
        sources=[Source(cause.topic, cause.partition, min(offsets), max(offsets))],
        sample_event_ids=samples,
    )
