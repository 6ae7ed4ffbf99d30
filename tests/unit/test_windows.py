"""Windows against a plain count over all events; late and repeated events; what is kept stays bounded."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.detection.features import CODES
from stream_app.detection.judgement import closed_values, sum_values
from stream_app.detection.services import Services
from stream_app.detection.shape_windows import total_variation
from stream_app.detection.state import TenantState, decode_tenant
from stream_app.detection.windows import MAX_MODELS, MAX_PANE_IDS, PANES, Minute
from tests.unit import streams
from tests.unit.streams import BEGIN_MS, EventFields, event, new_detector, records, steady

repeatable = settings(derandomize=True, deadline=None, max_examples=60)
CALM = streams.policy(features={})
BEGIN_PANE, BEGIN_MINUTE = BEGIN_MS // 10_000, BEGIN_MS // 60_000


def state_after(events: list[EventFields], tenant: str = "acme", advance: bool = False) -> TenantState:
    encoded: dict[str, bytes] = {}
    detector = new_detector(CALM, encoded)
    detector.handle(records(events))
    if advance:
        detector.advance(0)
    detector.take_changes()
    return decode_tenant(encoded[tenant])


def expected(events: list[EventFields], end_s: float, window_s: int) -> tuple[int, int, int, int]:
    """Requests, input tokens, output tokens and errors of a window, counted from the events themselves."""
    inside = [
        item
        for item in events
        if end_s - window_s <= (streams.to_ms(item["time"]) - BEGIN_MS) / 1000 < end_s
        and item["status_code"] in {200, 400}
    ]
    return (
        len(inside),
        sum(item["input_tokens"] for item in inside),
        sum(item["output_tokens"] for item in inside),
        sum(item["status_code"] >= 400 for item in inside),
    )


@st.composite
def arrivals(draw: st.DrawFn) -> list[EventFields]:
    """Up to 40 minutes of one tenant, in an order that the allowed lateness permits."""
    steps = draw(st.lists(st.tuples(st.integers(0, 55_000), st.integers(0, 3)), min_size=1, max_size=120))
    made, now_ms = [], 0
    for number, (step_ms, kind) in enumerate(steps):
        now_ms += step_ms
        made.append(
            event(
                max(now_ms - number * 7919 % 30_000, 0) / 1000,
                id=str(number),
                status_code=(200, 400, 429, 503)[kind],
                input_tokens=number * 13,
                output_tokens=number,
            )
        )
    return made


@given(events=arrivals())
@repeatable
def test_sums_equal_a_count_over_all_events(events: list[EventFields]) -> None:
    state = state_after(events)
    newest = max(state.windows.panes)
    end_s = (newest + 1 - BEGIN_PANE) * 10
    wanted = {window_s: expected(events, end_s, window_s) for window_s in (10, 60)}
    # The ten minutes end with the open minute, which is counted as far as it has come.
    wanted[600] = expected(events, ((newest // PANES) + 1 - BEGIN_MINUTE) * 60, 600)
    found = {CODES[index]: value for index, value in sum_values(state, newest)}
    assert found["requests_10s"] == wanted[10][0]
    for place, name in enumerate(("requests", "input_tokens", "output_tokens", "errors")):
        assert (found[f"{name}_60s"], found[f"{name}_600s"]) == (wanted[60][place], wanted[600][place])


def test_a_closed_minute_knows_its_busiest_ten_seconds() -> None:
    #   |..##..|    60 s with 3 and then 9 requests in two of its panes
    events = [event(20 + k, id=f"a{k}") for k in range(3)] + [event(31 + k / 2, id=f"b{k}") for k in range(9)]
    found = dict(closed_values(state_after([*events, event(89)]), BEGIN_MINUTE, Services()).served)
    assert found[CODES.index("requests_10s")] == 9
    assert found[CODES.index("requests_60s")] == 12


def test_late_events_count_in_the_longer_windows_only() -> None:
    #   0       60      120   150  | 45 arrives late: its minute is closed
    events = [event(10), event(70), event(151), event(45)]
    state = state_after(events)
    values = {CODES[index]: value for index, value in sum_values(state, BEGIN_PANE + 15)}
    assert (values["requests_60s"], values["requests_600s"]) == (1, 4)


def test_a_late_event_of_a_tenant_never_seen_counts() -> None:
    state = state_after([event(0, "other"), event(59, "other"), event(118, "other"), event(10)])
    assert state.windows.sum_long(BEGIN_MINUTE + 1)[0] == 1


def test_a_late_event_newer_than_all_panes_counts_at_once() -> None:
    #   10        320 late | 400     the tenant's only pane is that of 10
    state = state_after([event(10), *steady(11, 420, 6, "other"), event(320)])
    values = {CODES[index]: value for index, value in sum_values(state, max(state.windows.panes))}
    assert values["requests_600s"] == 2


def test_events_later_than_ten_minutes_are_no_longer_counted() -> None:
    state = state_after([*steady(0, 1500, 2, "other"), event(10), event(1450), event(11)])
    assert state.windows.sum_long(BEGIN_MINUTE + 24)[0] == 1


def test_late_events_never_reopen_learning() -> None:
    events = [*steady(0, 600, 12), *steady(600, 1300, 2, "other")]
    late = [event(500 + k / 10, id=f"late{k}") for k in range(50)]
    in_time, too_late = (state_after(stream, advance=True) for stream in (events, events + late))
    assert in_time.baselines == too_late.baselines
    assert in_time.baselines


def test_a_repeated_id_counts_once() -> None:
    detector = new_detector(CALM)
    again = [event(1, id="same"), event(2, id="other"), event(1, id="same"), event(1, id="same")]
    detector.handle(records(again))
    tally = detector.take_tally()
    assert (tally.applied, tally.repeated) == (2, 2)


def test_denied_requests_are_demand_and_nothing_else() -> None:
    served = [event(k, id=f"s{k}", account_id="one", model="small") for k in range(25)]
    denied = [
        event(k, id=f"d{k}", account_id=f"new{k}", model="large", status_code=429 if k % 2 else 403, input_tokens=9999)
        for k in range(30)
    ]
    state = state_after(
        [*sorted(served + denied, key=lambda item: item["time"]), event(89, id="end", account_id="one")]
    )
    values = closed_values(state, BEGIN_MINUTE, Services())
    served_only = closed_values(state_after([*served, event(89, id="end", account_id="one")]), BEGIN_MINUTE, Services())
    assert values.served == served_only.served
    asked = dict(values.asked)
    assert asked[CODES.index("requests_60s")] == 55
    assert asked[CODES.index("input_tokens_60s")] == 25 * 500
    assert asked[CODES.index("errors_60s")] == 0


def test_minutes_without_an_answer_are_not_learned() -> None:
    served = state_after([*steady(0, 600, 6), *steady(600, 900, 6, "other")], advance=True)
    denied = steady(600, 840, 60, name="denied", status_code=429)
    after = state_after([*steady(0, 600, 6), *streams.in_order(denied, steady(600, 900, 6, "other"))], advance=True)
    assert after.baselines == served.baselines


@pytest.mark.parametrize("accounts", [1, 7, 30, 100, 3_000])
def test_distinct_accounts_within_their_error_whatever_their_order(accounts: int) -> None:
    estimates = set()
    for seed in range(5):
        minute, names = Minute(), [f"account-{k}" for k in range(accounts)] * 2
        Random(seed).shuffle(names)
        for name in names:
            minute.add_account(name)
        state = TenantState()
        state.windows.minutes = {BEGIN_MINUTE: minute}
        estimates.add(state.windows.distinct_accounts(BEGIN_MINUTE))
    (estimate,) = estimates
    assert estimate == pytest.approx(accounts, rel=0.2 if accounts > 7 else 1e-6)


def test_distinct_accounts_span_ten_minutes() -> None:
    state = state_after([event(60 * k + 1, account_id=f"user{k % 6}") for k in range(15)])
    assert state.windows.distinct_accounts(BEGIN_MINUTE + 14) == 6
    assert state.windows.distinct_accounts(BEGIN_MINUTE + 16) == 6
    assert state.windows.distinct_accounts(BEGIN_MINUTE + 40) == 0


def test_the_model_mix_is_bounded_and_its_shift_a_share() -> None:
    minute = Minute()
    for k in range(100):
        minute.add_model(f"model-{k}")
    assert sum(minute.models.values()) == 100
    assert len(minute.models) == MAX_MODELS + 1
    assert total_variation({"a": 4}, {"b": 3.0, "a": 1.0}) == 0.75
    assert total_variation({"a": 4}, {}) == 0
    assert total_variation({"a": 1, "n": 9}, {"b": 1.0, "n": 1.0}, {"n"}) == 0.1


def test_what_a_tenant_keeps_is_bounded() -> None:
    random = Random(1)
    ids = (f"{k}" for k in range(100_000))
    encoded: dict[str, bytes] = {}
    detector = new_detector(CALM, encoded)
    for minute in range(45):
        busy = [
            event(
                minute * 60 + k * 60 / 700,
                id=next(ids),
                account_id=f"user{random.randrange(10**6)}",
                model=f"model{random.randrange(10**6)}",
            )
            for k in range(700)
        ]
        detector.handle(records(busy, minute * 1000))
    detector.take_changes()
    state = decode_tenant(encoded["acme"])
    assert len(state.windows.panes) <= 3 * PANES
    assert len(state.windows.minutes) <= 12
    assert all(len(pane.ids) <= MAX_PANE_IDS for pane in state.windows.panes.values())
    assert len(state.models) <= MAX_MODELS
    assert len(encoded["acme"]) < 32_000


def test_a_clock_an_hour_ahead_keeps_few_panes() -> None:
    arrivals = [
        item
        for minute in range(60)
        for item in (event(minute * 60, "good"), *steady(3600 + minute * 60, 3660 + minute * 60, 6, "ahead"))
    ]
    state = state_after(arrivals, "ahead")
    assert len(state.windows.panes) <= 12 * PANES
    assert len(state.windows.minutes) <= 22


def test_a_quiet_tenant_keeps_no_panes() -> None:
    """Whatever the minute of its last request, the last of a block included."""
    for minute in range(10):
        events = [event(minute * 60 + 25), *steady(minute * 60 + 26, 1300, 6, "other")]
        state = state_after(events, advance=True)
        assert state.windows.panes == {}, minute
