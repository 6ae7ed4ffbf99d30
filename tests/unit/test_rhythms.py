"""The day's rhythm: what is usual at night is judged by the night, and learned from days, not from minutes."""

from random import Random

from stream_app.detection.decisions import Action
from stream_app.detection.rhythms import NO_SHIFTS, Rhythm
from tests.unit.streams import (
    EventFields,
    decisions,
    event,
    in_order,
    instruct,
    new_detector,
    operator_record,
    records,
    run,
    steady,
    time_of,
)

HOUR_S, DAY_S = 3_600, 86_400
#: Half past two.
MIDDLE = 150


def nightly(days: int, quiet: float, busy: float, seed: int = 5) -> list[EventFields]:
    """A tenant that works at ``busy`` requests a minute from two to four every night, and ``quiet`` ones otherwise."""
    random, found = Random(seed), []
    for hour in range(days * 24):
        per_minute = busy if hour % 24 in {2, 3} else quiet
        for minute in range(60):
            at_s = hour * HOUR_S + minute * 60
            count = round(random.lognormvariate(0, 0.25) * per_minute)
            found += [event(at_s + 60 * k / max(count, 1), id=f"{at_s}-{k}") for k in range(count)]
    return found


def gathered(days: dict[int, float], level: float = 20.0, hour: int = 2) -> Rhythm:
    """A rhythm that has seen some days' requests in one hour."""
    rhythm = Rhythm()
    for day, requests in days.items():
        for windows in (rhythm.minutes, rhythm.blocks):
            rhythm.gather((day * 24 + hour) * 60 + 9, windows, requests, level)
    rhythm.gather((max(days) * 24 + 24) * 60, rhythm.minutes, level, level)
    return rhythm


def test_an_hour_unlike_the_others_is_believed_as_days_agree() -> None:
    once, weekly = gathered({0: 99.0}, level=1.0), gathered(dict.fromkeys(range(7), 99.0), level=1.0)
    assert 0 < once.shifts(MIDDLE).minutes < weekly.shifts(MIDDLE).minutes < 3.7
    assert weekly.shifts(MIDDLE).minutes > 2 * once.shifts(MIDDLE).minutes


def test_one_odd_day_changes_little() -> None:
    usual, odd = dict.fromkeys(range(7), 1.0), dict.fromkeys(range(6), 1.0) | {6: 999.0}
    assert gathered(odd, level=0.7).shifts(MIDDLE).blocks - gathered(usual, level=0.7).shifts(MIDDLE).blocks < 1.0


def test_an_hour_never_seen_says_nothing() -> None:
    rhythm = gathered({0: 99.0}, level=1.0)
    assert rhythm.shifts(12 * 60 + 30) == NO_SHIFTS


def test_near_the_full_hour_the_busier_of_two_hours_counts() -> None:
    rhythm = gathered({0: 99.0}, level=1.0)
    assert [rhythm.shifts(minute).minutes > 0 for minute in (104, 105, 134, 194, 195)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def denied(events: list[EventFields]) -> list[str]:
    """When somebody was throttled or blocked."""
    return [str(d.issued_at) for d in run(events) if d.action not in {Action.ALLOW, Action.OBSERVE}]


def test_what_is_usual_at_night_is_a_surge_by_day() -> None:
    """Half an hour of sixteen times the daily load, at noon of the fourth day; the same at night is left in peace."""
    history = nightly(days=3, quiet=4, busy=32)
    night = steady(3 * DAY_S + 2 * HOUR_S, 3 * DAY_S + 2.5 * HOUR_S, 66, name="night")
    noon = steady(3 * DAY_S + 12 * HOUR_S, 3 * DAY_S + 12.5 * HOUR_S, 66, name="noon")
    assert not denied(in_order(history, night))
    assert denied(in_order(history, noon))


def lasting(is_released: bool) -> set[str]:
    """Fifty times as much from the seventh hour on, for good; released, or not, by a person some minutes later."""
    begin_s, told_s = 6 * HOUR_S, 6 * HOUR_S + 600
    stream = in_order(steady(0, begin_s, 3), steady(begin_s, 9 * HOUR_S, 150, name="more"))
    detector = new_detector()
    before = [request for request in stream if request["time"] < time_of(told_s)]
    assert "throttle" in {d.action.value for d in decisions(detector.handle(records(before)))}
    if is_released:
        instruct(detector, 0, operator_record("release", told_s, subject="tenant:acme"))
    later = decisions(detector.handle(records(stream[len(before) :], len(before))))
    return {d.action.value for d in later}


def test_a_lasting_change_is_learned_once_a_person_has_released_it() -> None:
    assert lasting(is_released=True) == set()
    assert "block" in lasting(is_released=False)
