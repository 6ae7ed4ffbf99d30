"""The profile of busy hours: silent until it predicts better, right once it does, bounded, restored bit by bit."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.nab.busy_hours import BY_DAY, BY_WEEK, NO_OFFSET, BusyHours

repeatable = settings(derandomize=True, deadline=None, max_examples=60)
MEMORY = 720.0
histories = st.lists(st.tuples(st.integers(0, 400), st.floats(-50, 50)), max_size=120)


def learned(values: list[tuple[int, float]]) -> BusyHours:
    profile = BusyHours()
    for hour, value in values:
        profile.learn_one(hour, value, MEMORY)
    return profile


def in_order(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return sorted(values, key=lambda entry: entry[0])


def daily(days: int, seed: int = 3, weekends: bool = False) -> list[tuple[int, float]]:
    """Ten values an hour: e^2 times as many by day as by night, with noise, and nights only on two days of seven."""
    random = Random(seed)
    return [
        (hour, (2.0 if 8 <= hour % 24 < 20 and not (weekends and hour // 24 % 7 > 4) else 0.0) + random.gauss(5, 0.3))
        for hour in range(days * 24)
        for _ in range(10)
    ]


def offset_at(profile: BusyHours, hour: int) -> float:
    profile.judged_hour = hour
    return profile.offset()


def test_who_has_no_history_has_no_offset() -> None:
    assert offset_at(BusyHours(), 13) == 0.0
    assert BusyHours().kind == NO_OFFSET


def test_who_keeps_no_hours_has_almost_no_offset() -> None:
    random = Random(5)
    profile = learned([(hour, random.gauss(5, 0.3)) for hour in range(21 * 24) for _ in range(10)])
    assert all(abs(offset_at(profile, hour)) < 0.2 for hour in range(168))


def test_a_day_has_to_be_seen_before_it_counts() -> None:
    assert learned(daily(1)).kind == NO_OFFSET


def test_office_hours_are_known_within_a_week() -> None:
    profile = learned(daily(7))
    assert profile.kind == BY_DAY
    assert offset_at(profile, 13) - offset_at(profile, 3) > 1.6


def test_weekends_are_known_after_some_weeks() -> None:
    profile = learned(daily(42, weekends=True))
    assert profile.kind == BY_WEEK
    assert offset_at(profile, 13) - offset_at(profile, 5 * 24 + 13) > 1.4


def test_a_profile_that_has_become_wrong_is_given_up() -> None:
    random = Random(6)
    flat = [(14 * 24 + hour, random.gauss(6, 0.3)) for hour in range(14 * 24) for _ in range(10)]
    profile = learned(daily(14) + flat)
    assert abs(offset_at(profile, 13) - offset_at(profile, 3)) < 0.3


@given(values=histories)
@repeatable
def test_it_comes_back_as_it_was_and_goes_on_alike(values: list[tuple[int, float]]) -> None:
    profile = learned(in_order(values))
    again = BusyHours(profile.to_plain())
    assert again.to_plain() == profile.to_plain()
    for restored in (profile, again):
        restored.learn_one(500, 7.0, MEMORY)
        restored.learn_one(501, 8.0, MEMORY)
    assert again.to_plain() == profile.to_plain()
    assert offset_at(again, 500) == offset_at(profile, 500)


@given(values=histories)
@repeatable
def test_offsets_are_bounded_and_so_is_the_state(values: list[tuple[int, float]]) -> None:
    profile = learned(in_order(values))
    assert all(abs(offset_at(profile, hour)) <= 4 for hour in range(168))
    assert len(profile.to_plain()[-1]) <= 192


def test_profiles_share_nothing() -> None:
    """Neither two new ones, nor one and what it was restored from."""
    first, second = BusyHours(), BusyHours()
    plain = learned(daily(3)).to_plain()
    third = BusyHours(plain)
    for hour, value in daily(3):
        first.learn_one(hour, value, MEMORY)
        third.learn_one(100 + hour, value, MEMORY)
    assert second.to_plain() == BusyHours().to_plain()
    assert learned(daily(3)).to_plain() == plain
