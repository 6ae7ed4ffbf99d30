"""Surges of hours: what is too slow for ten minutes to tell, and lasts."""

from itertools import accumulate
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stream_app.detection.hours import HOUR_MINUTES, SPANS, Hours
from tests.unit.streams import EventFields, in_order, policy, run, steady

HOUR_S = 3600
LASTING = policy(
    features={
        "surge_600s": {"floor": 60_000, "small_floor": 30, "up_to": "observe"},
        "surge_21600s": {"floor": 2_000_000, "small_floor": 60, "up_to": "observe"},
        "surge_86400s": {"floor": 8_000_000, "small_floor": 100, "up_to": "observe"},
    }
)
Counted = list[tuple[int, int]]
#: Closed minutes, far and near, and their requests.
counts = st.lists(st.tuples(st.integers(1, 900), st.integers(0, 50)), max_size=60).map(
    lambda steps: list(
        zip(accumulate((gap for gap, _ in steps), initial=29_000_000), [n for _, n in steps], strict=False)
    )
)


def sessions(days: int, seed: int = 4) -> list[EventFields]:
    """Three or four sittings of a dozen requests a day, one each two minutes."""
    random, events = Random(seed), []
    for day in range(days):
        for sitting in range(random.choice((3, 4))):
            begin_s = (day * 24 + 7 + 4 * sitting) * HOUR_S + random.randrange(HOUR_S)
            events += steady(begin_s, begin_s + random.randint(8, 16) * 120, 0.5, name=f"{day}-{sitting}")
    return events


def others(days: int) -> list[EventFields]:
    """Tenants that are busy at all times, so that one alone is not everybody."""
    return [one for n in range(3) for one in steady(n * 7, days * 24 * HOUR_S, 0.2, f"other-{n}")]


def test_a_flood_of_forty_an_hour_is_observed_although_ten_minutes_are_no_more_than_a_sitting() -> None:
    flood = steady(4 * 24 * HOUR_S, (4 * 24 + 10) * HOUR_S, 40 / 60, name="flood")
    found = run(in_order(sessions(5), others(5), flood), LASTING)
    assert found[0].subject == "acme"
    assert found[0].reasons[0].code == "surge_21600s"
    assert "2026-01-05T01:00" < found[0].issued_at < "2026-01-05T05:00"


def test_twice_as_many_sittings_as_ever_are_no_surge() -> None:
    assert not run(in_order(sessions(6), others(6), sessions(6, seed=5)[-40:]), LASTING)


def test_what_everybody_does_is_nobodys_surge() -> None:
    """After a common start everybody asks more, for hours."""
    tenants = [f"t{n}" for n in range(9)]
    before = [steady(40 * n, 30 * HOUR_S, 0.2, name) for n, name in enumerate(tenants)]
    after = [steady(30 * HOUR_S + n, 40 * HOUR_S, 4, name, "more") for n, name in enumerate(tenants)]
    assert not run(in_order(*before, *after), LASTING)


@given(counts)
def test_the_last_hours_are_those_that_were_counted(counted: Counted) -> None:
    hours = Hours()
    for minute, requests in counted:
        hours.add(minute, requests)
    for span in SPANS:
        for minute in (counted[-1][0], counted[-1][0] + 200) if counted else ():
            since = (minute // HOUR_MINUTES - span + 1) * HOUR_MINUTES
            assert hours.total(minute, span) == sum(n for at, n in counted if at >= since)


@given(counts)
def test_every_span_that_is_over_is_told_once(counted: Counted) -> None:
    hours, told = Hours(), [0] * len(SPANS)
    for minute, requests in counted:
        for place, over in enumerate(hours.add(minute, requests)):
            told[place] += over
    for place, span in enumerate(SPANS):
        last = counted[-1][0] // HOUR_MINUTES // span if counted else 0
        assert told[place] == sum(n for at, n in counted if at // HOUR_MINUTES // span < last)
