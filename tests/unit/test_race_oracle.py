"""The oracle of the benchmark's race against windows counted one by one, and its judgement of wrong answers."""

from collections import Counter
from math import sqrt

import msgspec
import numpy as np
import pytest

from benchmarks.race.oracle import Decision, Verdict, expected_decisions, judge
from benchmarks.race.workloads import (
    BEGIN_MS,
    CLOSING_MS,
    PARTITIONS,
    JobEvent,
    Stream,
    closing_tenants,
    draw_stream,
    events_of,
    values_of,
)
from stream_app.detection.decode import decode_record
from stream_app.detection.events import Event
from stream_app.detection.partitions import partition_of

S = 1000


@pytest.fixture(scope="module")
def stream() -> Stream:
    """Two minutes of event time."""
    return draw_stream(7, 240_000)


def by_brute_force(events: list[JobEvent], tenant_id: str) -> list[Decision]:
    """Every window of ten minutes, each of them looked for in all events of the tenant."""
    own = [event for event in events if event.tenant_id == tenant_id]
    closed: list[list[JobEvent]] = []
    decisions = []
    for end_ms in range(BEGIN_MS, BEGIN_MS + 600 * S, 10 * S):
        window = [event for event in own if end_ms - 60 * S <= event.time_ms < end_ms]
        if not window:
            continue
        mean, variance = moments([len(earlier) for earlier in closed])
        z = (len(window) - mean) / sqrt(variance + 1)
        if len(closed) >= 10 and z >= 3:
            tokens = sum(event.input_tokens + event.output_tokens for event in window)
            errors = sum(event.status_code >= 400 for event in window)
            decisions.append(Decision(tenant_id, end_ms, len(window), tokens, errors, z))
        closed.append(window)
    return decisions


def moments(counts: list[int]) -> tuple[float, float]:
    mean = variance = 0.0
    for count in counts:
        d = count - mean
        mean += 0.05 * d
        variance = 0.95 * (variance + 0.05 * d * d)
    return mean, variance


def test_decisions_are_those_of_windows_counted_one_by_one(stream: Stream) -> None:
    events = list(events_of(stream))
    expected = expected_decisions(events)
    deciding = sorted({decision.tenant_id for decision in expected})
    quiet = [f"tenant-{rank:05}" for rank in (0, 1, 500, 4_000)]
    assert len(deciding) > 10
    for tenant_id in {*deciding[:6], *quiet, *closing_tenants()}:
        wanted = by_brute_force(events, tenant_id)
        assert [d for d in expected if d.tenant_id == tenant_id] == wanted, tenant_id


def test_a_silent_window_does_not_exist_and_warm_up_takes_ten() -> None:
    """One event a minute closes six windows of one; ten of them are known when the burst comes."""

    def decided(quiet_minutes: int) -> list[int]:
        quiet = [JobEvent("a", BEGIN_MS + minute * 120 * S, 200, 1, 1) for minute in range(quiet_minutes)]
        burst = [JobEvent("a", BEGIN_MS + quiet_minutes * 120 * S, 500, 2, 1)] * 9
        return [(d.window_end_ms - BEGIN_MS) // S for d in expected_decisions([*quiet, *burst])]

    assert decided(1) == []
    assert decided(2)[:1] == [250]


def test_a_window_holds_its_start_and_not_its_end() -> None:
    steady = [JobEvent("a", BEGIN_MS + second * S, 200, 1, 0) for second in range(300)]
    burst = [JobEvent("a", BEGIN_MS + 300 * S, 404, 10, 0)] * 500
    first = expected_decisions([*steady, *burst])[0]
    assert (first.window_end_ms - BEGIN_MS, first.count, first.errors) == (310 * S, 550, 500)
    assert first.tokens == 50 + 5_000


def test_judgement_tells_right_wrong_missing_and_repeated() -> None:
    wanted = [Decision("a", end, 5, 50, 1, 3.5) for end in (10, 20, 30)]
    close = msgspec.structs.replace(wanted[0], z=3.5 + 5e-7)
    far = msgspec.structs.replace(wanted[1], z=3.5 + 5e-6)
    assert judge(wanted[::-1], wanted) == Verdict(3, 3, 0, 0, 0)
    assert judge([close, wanted[1], wanted[2]], wanted).is_equal
    assert judge([close, far, far], wanted) == Verdict(3, 1, 1, 2, 1)
    assert not judge([*wanted, wanted[0]], wanted).is_equal
    assert not judge(wanted[:2], wanted).is_equal


def test_the_workload_is_as_the_job_describes_it(stream: Stream) -> None:
    values = list(values_of(stream))
    events = [event for event, _ in values]
    sent, closing = events[:-PARTITIONS], events[-PARTITIONS:]
    times = np.array([event.time_ms for event in sent])
    assert (np.maximum.accumulate(times) - times).max() <= 3 * S
    assert times.min() >= BEGIN_MS
    assert times.max() < BEGIN_MS + 120 * S
    assert [partition_of(event.tenant_id, PARTITIONS) for event in closing] == list(range(PARTITIONS))
    assert {event.time_ms for event in closing} == {times.max() + CLOSING_MS}
    assert 0.018 < sum(event.status_code >= 400 for event in sent) / len(sent) < 0.022
    assert {event.status_code for event in sent}.isdisjoint({403, 429})
    assert 410 < np.mean([len(value) for _, value in values]) < 450
    assert Counter(event.tenant_id for event in sent).most_common(1)[0][0] == "tenant-00000"


def test_every_value_is_an_event_of_the_contract(stream: Stream) -> None:
    for event, value in values_of(stream.first(500)):
        (decoded,) = decode_record(value, {})
        assert isinstance(decoded, Event)
        time_ms = round(decoded.time.timestamp() * 1000)
        assert event == (
            decoded.tenant_id,
            time_ms,
            decoded.status_code,
            decoded.input_tokens,
            decoded.output_tokens,
        )


def test_a_seed_gives_one_stream() -> None:
    once, again, other = (list(values_of(draw_stream(seed, 1_000))) for seed in (1, 1, 2))
    assert once == again
    assert once != other
