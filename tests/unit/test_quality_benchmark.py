"""The quality benchmark's own logic: intervals, labels, matching, thresholds; on streams of a few thousand requests."""

from math import inf, isnan

import msgspec
import numpy as np
import pytest

from benchmarks.quality import drifts, storms, surges
from benchmarks.quality.__main__ import REPORTED_SEEDS, TUNING_SEEDS, enforced_policy
from benchmarks.quality.acceptance import verdicts
from benchmarks.quality.closed_loops import Judged, Told, judge
from benchmarks.quality.measures import Outcome, assess, quantile, rate, wilson
from benchmarks.quality.rivals import Levels, leaky_bucket, static_limit
from benchmarks.quality.streams import HOUR_MS, Stream, batches, event_json
from benchmarks.quality.thresholds import alarm_ms, false_alarms, reached, threshold_within
from stream_app.detection.decisions import Action
from stream_app.detection.events import Event

SCENARIOS = (
    *(surges.bursts, surges.runaway_accounts, surges.pushing, surges.jailbreaks),
    *(storms.outage, storms.gap, drifts.extraction, drifts.ramps, drifts.first_days, drifts.hard_cases),
)


@pytest.fixture(scope="module")
def bursts() -> Stream:
    return surges.bursts(1, 0.05)


def outcome(stream: Stream, told: list[Told]) -> Outcome:
    return assess(stream, Judged(told, [0] * len(stream.tenants), {}, len(stream.rows), 0, 1.0, [1]))


def decided(stream: Stream, tenant: int, at_ms: int, action: Action = Action.OBSERVE) -> Told:
    return Told(tenant, at_ms, "tenant", stream.tenants[tenant].tenant_id, action, is_entry=True, reasons=())


def test_intervals_are_the_published_ones() -> None:
    share = wilson(8, 10)  # Wilson 1927, as tabulated by Brown, Cai and DasGupta 2001
    assert (share.value, round(share.low, 3), round(share.high, 3)) == (0.8, 0.49, 0.943)
    none = rate(0, 1.0)  # the rule of three, two-sided: -ln .025
    assert (none.value, none.low, round(none.high, 3)) == (0.0, 0.0, 3.689)
    five = rate(5, 2.0)
    assert (round(five.low, 3), five.value, round(five.high, 3)) == (0.812, 2.5, 5.834)


def test_nothing_at_all_says_nothing() -> None:
    assert isnan(wilson(0, 0).value)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert rate(0, 0.0).high == inf


def test_a_quantile_counts_what_was_never_found() -> None:
    assert quantile([1.0] * 98 + [inf] * 2, 0.99).value == inf
    assert quantile([1.0] * 99 + [inf], 0.99).value == 1.0
    assert quantile([1.0, 2.0, 3.0], 0.5).value == 2.0


def test_reported_seeds_are_not_those_tuned_on() -> None:
    assert len(REPORTED_SEEDS) >= 3
    assert not set(REPORTED_SEEDS) & set(TUNING_SEEDS)


@pytest.mark.parametrize("make", SCENARIOS, ids=lambda make: make.__name__)
def test_labels_agree_with_requests(make: surges.Scenario) -> None:
    stream = make(3, 0.02)
    assert (np.diff(stream.rows["arrival_ms"]) >= 0).all()
    assert (stream.rows["arrival_ms"] >= stream.rows["time_ms"]).all()
    assert set(stream.rows["tenant"].tolist()) <= set(range(len(stream.tenants)))
    for truth in stream.truths:
        mine = stream.rows[stream.rows["tenant"] == truth.tenant]
        during = (mine["arrival_ms"] >= truth.onset_ms) & (mine["arrival_ms"] <= truth.end_ms)
        assert during.sum() >= 10
        assert truth.onset_ms <= truth.tenth_ms <= truth.end_ms <= stream.end_ms
        assert len([other for other in stream.truths if other.tenant == truth.tenant]) == 1
        if mine["excess"].any():
            assert mine["arrival_ms"][mine["excess"]].min() == truth.onset_ms


def test_the_seed_fixes_a_stream() -> None:
    first, again, other = (surges.jailbreaks(seed, 0.1).rows for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:100], other[:100])


@pytest.mark.parametrize("make", [surges.jailbreaks, storms.outage, drifts.extraction], ids=lambda make: make.__name__)
def test_events_hold_the_contract(make: surges.Scenario) -> None:
    stream = make(6, 0.02)
    decoder = msgspec.json.Decoder(Event)
    rows, times = next(batches(stream.rows[-2_000:]))
    for number, (row, time) in enumerate(zip(rows, times, strict=True)):
        event = decoder.decode(event_json(stream.tenants[row[2]], row, number, time, is_denied=number % 2 == 1))
        assert event.status_code == (429 if number % 2 else row[4])
        assert round(event.time.timestamp() * 1_000) == row[0]


def test_a_detector_that_never_fires_finds_nothing(bursts: Stream) -> None:
    silent = outcome(bursts, [])
    assert [found.tenth_s for found in silent.found] == [inf] * len(bursts.truths)
    assert silent.true_entries == 0
    assert all(group.false.total() == 0 for group in silent.groups.values())
    assert not any(verdict.is_met for verdict in verdicts([silent]))


def test_a_decision_in_the_anomaly_is_found_and_one_before_is_false(bursts: Stream) -> None:
    truth = bursts.truths[0]
    early = decided(bursts, truth.tenant, truth.onset_ms - HOUR_MS)
    right = decided(bursts, truth.tenant, truth.tenth_ms + 1_500, Action.THROTTLE)
    seen = outcome(bursts, [early, right])
    assert seen.found[0].tenth_s == seen.found[0].acted_s == 1.5
    assert seen.found[0].is_scope_right
    assert seen.true_entries == 1
    assert sum((group.false for group in seen.groups.values()), start=type(seen.groups["burst 50x"].false)()) == {
        "observe": 1
    }


def test_what_a_decision_denies_is_denied_and_who_stops_sends_no_more() -> None:
    stream = surges.pushing(7, 0.2)
    *_, judged = judge(stream, enforced_policy())
    assert judged.rejected == 0
    patient = [tenant.patience_ms is None for tenant in stream.tenants]
    denied = {place: count for place, count in enumerate(judged.denied) if count}
    assert denied, "nobody was throttled, so this test says nothing"
    assert judged.given_up_ms.keys() == {place for place in denied if not patient[place]}
    if judged.given_up_ms:
        assert judged.events < len(stream.rows)


def test_who_is_handed_from_one_scope_to_another_is_not_released() -> None:
    stream = surges.pushing(7, 0.2)
    truth = next(truth for truth in stream.truths if truth.family == "pushes on")
    places = range(len(stream.tenants))
    denied = [int(place == truth.tenant) for place in places]
    told = [
        Told(truth.tenant, truth.tenth_ms + at_s * 1_000, scope, "subject", action, is_entry=False, reasons=())
        for at_s, scope, action in (
            (1, "account", Action.THROTTLE),
            (2, "tenant", Action.THROTTLE),
            (3, "account", Action.ALLOW),
            (4, "tenant", Action.ALLOW),
        )
    ]
    for count, released in ((3, 0), (4, 1)):
        judged = Judged(told[:count], denied, {}, 1, 0, 1.0, [1])
        assert assess(stream, judged).released_pushing == released


def test_a_leaky_bucket_fills_and_leaks(bursts: Stream) -> None:
    rows = bursts.rows[:4].copy()
    rows["tenant"] = 0
    rows["arrival_ms"] = np.array([0, 1_000, 2_000, 22_000]) + rows["arrival_ms"][0]
    few = msgspec.structs.replace(bursts, rows=rows, truths=[])
    assert leaky_bucket(10.0)(few).level.round(6).tolist() == [1.0, 1.9, 2.8, 1.8]
    assert static_limit(few).level.astype(int).max() >= 4


def test_a_threshold_keeps_its_budget(bursts: Stream) -> None:
    found = [reached(bursts, static_limit(bursts))]
    for allowed in (0, 3):
        threshold = threshold_within(found, allowed)
        assert sum(false_alarms(one, threshold) for one in found) <= allowed
    assert all(at is None for at in alarm_ms(found[0], inf))


def test_what_alarms_for_ever_alarms_every_day_and_finds_nothing_new(bursts: Stream) -> None:
    hours = np.arange(bursts.rows["arrival_ms"][0], bursts.end_ms, HOUR_MS // 2)
    place = bursts.truths[0].tenant
    always = Levels(np.full(len(hours), place, np.int32), hours, np.ones(len(hours)))
    found = reached(bursts, always)
    assert false_alarms(found, 0.5) in {1, 2}
    assert alarm_ms(found, 0.5)[0] is None
