"""Pictures of a subject's windows: what the core knew, and where it is drawn."""

import re
from io import BytesIO
from itertools import pairwise
from math import inf, isfinite
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import stream_app.reports
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.operators import SetPolicy, parse_operator
from stream_app.detection.policy import Policy
from stream_app.detection.state import decode_tenant
from stream_app.detection.traces import levels
from stream_app.plots.explanations import NothingRecordedError, Recorded, picture_of
from stream_app.plots.palettes import DARK, LIGHT
from stream_app.plots.panels import Frame, Moment, Panel, axis, draw, ticks
from stream_app.plots.pictures import Picture, compose, to_standalone_svg
from stream_app.plots.rasters import to_png
from stream_app.plots.shapes import Area, Dot, Line, Words, path
from stream_app.plots.times import MAX_BINS, Bins, Mark, around, bins_of, labels
from stream_app.plots.tracks import Tracer, Track, new_track
from tests.unit.streams import (
    BEGIN_MS,
    POLICY,
    EventFields,
    event,
    in_order,
    new_detector,
    operator_record,
    policy,
    records,
    run,
    steady,
)

BEGIN_MIN = BEGIN_MS // 60_000
PAGE_STYLE = Path(stream_app.reports.__file__).with_name("page.css")
FRAME = Frame(50, 20, 600, 100)
HOUR = Bins(BEGIN_MIN, 1, 60)


def a_runaway() -> list[EventFields]:
    """Half an hour of calm, then 600 requests in twenty seconds."""
    return in_order(steady(0, 1860, 4), steady(1800, 1820, 1800, name="loop"))


def values(events: list[EventFields]) -> list[bytes]:
    return [orjson.dumps(one) for one in events]


def traced(events: list[EventFields], *codes: str, bins: Bins = HOUR, rules: Policy = POLICY) -> Tracer:
    tracer = Tracer("acme", rules, codes, bins)
    for value in values(events):
        tracer.add(value)
    return tracer


def a_track(*served: float | None, expected: float = 10.0, level: float = 40.0) -> Track:
    track = new_track("requests_60s", Bins(BEGIN_MIN, 1, len(served)))
    track.served = list(served)
    track.asked = list(served)
    track.expected = [expected] * len(served)
    track.levels = {Action.OBSERVE: [level] * len(served), Action.THROTTLE: [2 * level] * len(served)}
    return track


def moment(at_s: float, action: Action = Action.THROTTLE, observed: float | None = None) -> Moment:
    return Moment(Mark(BEGIN_MS / 1000 + at_s, action), observed)


def shown(events: list[EventFields], place: int = -1, *, is_whole: bool = True, rules: Policy = POLICY) -> Picture:
    """The picture of one of the decisions on a stream, from all of its events."""
    made = run(events)
    return picture_of(made[place], made, rules, Recorded(values(events), "a test", is_whole))


@pytest.mark.parametrize("length", [1, 59, 180, 181, 4_000, 600_000])
@pytest.mark.parametrize("start", [0, 29_000_001])
def test_slices_cover_all_minutes_and_lose_no_count(start: int, length: int) -> None:
    minutes = range(start, start + length)
    bins = bins_of(minutes)
    assert bins.count <= MAX_BINS + 1
    assert bins.start_min <= start < start + length <= bins.end_min
    counts = dict.fromkeys((start, start + length // 2, start + length - 1), 5)
    assert sum(bins.gather(counts, int.__add__)) == 5 * len(counts)
    assert max(bins.gather(counts, max)) == 5


def test_a_timeline_shows_the_time_around_the_decisions() -> None:
    minutes = range(1000, 3000)
    assert around([Mark(2000 * 60, Action.BLOCK), Mark(2010 * 60, Action.ALLOW)], minutes) == range(1940, 2040)
    assert around([Mark(1001 * 60, Action.BLOCK)], minutes) == range(1000, 1031)
    assert around([Mark(5000 * 60, Action.BLOCK)], minutes) == minutes


@pytest.mark.parametrize("length", [1, 7, 45, 181, 3_000, 100_000, 5_000_000])
@pytest.mark.parametrize("start", [0, 29_000_001])
def test_labels_of_the_time_axis_are_few_in_order_and_never_touch(start: int, length: int) -> None:
    found = labels(bins_of(range(start, start + length)))
    assert len(found) <= 6
    places = [share for share, _ in found]
    assert all(0 < share < 1 for share in places)
    assert all(later - earlier > 0.12 for earlier, later in pairwise(places))


@pytest.mark.parametrize("highest", [1e-9, 0.5, 1, 30, 99.9, 100, 12_345, 7.7e8, 4e12])
def test_ticks_of_an_axis_are_round_few_and_reach_the_highest_value(highest: float) -> None:
    found = ticks(highest)
    assert found[0] == 0
    assert found[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(found) <= 6
    assert len({label for _, label in axis(highest)}) == len(found)


def test_an_axis_has_one_unit() -> None:
    assert [label for _, label in axis(10_000)] == ["0", "2.5k", "5k", "7.5k", "10k"]
    assert [label for _, label in axis(600)] == ["0", "200", "400", "600"]
    assert [label for _, label in axis(40_000_000)] == ["0", "10M", "20M", "30M", "40M"]


def test_a_track_holds_what_the_core_saw_minute_by_minute() -> None:
    track = traced(steady(0, 300, 6) + steady(420, 480, 12), "requests_60s").finish()["requests_60s"]
    assert track.bins.start_min == BEGIN_MIN
    assert track.served == [6, 6, 6, 6, 6, 0, 0, 12]


def test_the_levels_of_a_track_are_those_of_the_live_state() -> None:
    events = steady(0, 1830, 6)
    states: dict[str, bytes] = {}
    detector = new_detector(encoded=states)
    detector.handle(records(events))
    detector.take_changes()
    expected = levels(decode_tenant(states["acme"]), POLICY, CODES.index("requests_60s"), 0)
    track = traced(events, "requests_60s").finish()["requests_60s"]
    assert {rung: values[29] for rung, values in track.levels.items()} == expected
    assert list(expected) == [Action.OBSERVE, Action.THROTTLE, Action.BLOCK]
    assert list(expected.values()) == sorted(expected.values())


def test_every_feature_of_the_table_can_be_traced() -> None:
    tracks = traced(a_runaway(), *CODES).finish()
    assert list(tracks) == list(CODES)
    for feature in FEATURES:
        if feature.counter is not None or feature.code == "accounts_600s":  # the others need fields that are not there
            assert any(value is not None for value in tracks[feature.code].expected)


def test_ratios_over_few_requests_leave_a_gap() -> None:
    track = traced(steady(0, 300, 60), "errors_percent_600s", "requests_60s").finish()["errors_percent_600s"]
    assert track.served[:2] == [0.0, 0.0]
    assert None in traced(steady(0, 300, 1), "errors_percent_600s").finish()["errors_percent_600s"].served


def test_the_core_makes_the_same_decisions_again_whatever_the_form_of_the_records() -> None:
    events = a_runaway()
    made = {one.decision_id for one in run(events)}
    assert made
    assert traced(events, "requests_60s").decided == made
    arrays = Tracer("acme", POLICY, ["requests_60s"], HOUR)
    for place in range(0, len(events), 50):
        arrays.add(orjson.dumps([*events[place : place + 50], event(0, "other"), {"id": "bad"}]))
    assert arrays.decided == made
    assert arrays.events == len(events)


def test_only_the_tenants_own_events_are_traced_and_nonsense_is_passed_over() -> None:
    tracer = Tracer("acme", POLICY, ["requests_60s", "unknown_60s"], HOUR)
    for value in (None, b"", b"[]", b"nonsense", *values([event(1), event(3, "other")])):
        tracer.add(value)
    assert tracer.events == 1
    assert list(tracer.finish()) == ["requests_60s"]


def test_an_accounts_part_stands_within_the_tenants_series() -> None:
    tracer = Tracer("acme", POLICY, ["requests_60s"], HOUR, account_id="u1")
    for value in values(in_order(steady(0, 600, 6), steady(300, 600, 12, name="own", account_id="u1"))):
        tracer.add(value)
    track = tracer.finish()["requests_60s"]
    assert (track.served[2], track.served[8]) == (6, 18)
    assert (track.own[2], track.own[8]) == (None, 12)
    assert len(track.own) == track.bins.count
    drawn = draw(Panel(track, []), FRAME)
    assert [shape.tone for shape in drawn if isinstance(shape, Area)].index("own") > 0
    words = [shape.text for shape in compose(Picture("t", [], [Panel(track, [])])).shapes if isinstance(shape, Words)]
    assert "this account alone" in words


def test_a_policy_set_on_the_way_moves_the_levels() -> None:
    stricter = policy(version="test-2").model_copy(update={"features": {}})
    text = (
        "version: none-1\ncool_down_s: 120\nrungs: {observe: {enter: 0.999, leave: 0.99, ttl_s: 600, max_ttl_s: 900}}"
    )
    word = parse_operator(operator_record("policy", 600, body={"yaml": f"{text}\nfeatures: {{}}"}))
    assert stricter.features == {}
    assert isinstance(word, SetPolicy)
    tracer = Tracer("acme", POLICY, ["requests_60s"], HOUR, instructions=[word])
    for value in values(steady(0, 1200, 6)):
        tracer.add(value)
    observed = tracer.finish()["requests_60s"].levels[Action.OBSERVE]
    assert observed[5] is not None
    assert observed[15] is None


def test_a_silent_tenant_has_an_empty_track() -> None:
    track = Tracer("acme", POLICY, ["requests_60s"], HOUR).finish()["requests_60s"]
    assert set(track.served) == {None}
    for shape in draw(Panel(track, []), FRAME):
        assert isinstance(shape, Area | Line)
        assert all(isfinite(x) for x, _ in shape.points)


def test_the_band_reaches_from_what_is_usual_to_the_mildest_level() -> None:
    panel = Panel(a_track(5, 50, 5), [])
    (band,) = [shape for shape in draw(panel, FRAME) if isinstance(shape, Area) and shape.tone == "band"]
    height = FRAME.height / panel.highest()
    ys = {round(y, 6) for _, y in band.points}
    assert ys == {round(FRAME.bottom - 10 * height, 6), round(FRAME.bottom - 40 * height, 6)}
    assert {x for x, _ in band.points} >= {FRAME.left, FRAME.left + FRAME.width}


def test_decisions_stand_at_their_moment_and_what_was_observed_at_its_value() -> None:
    panel = Panel(a_track(*[5.0] * 10, 90.0), [moment(330, Action.OBSERVE), moment(615, observed=88.0), moment(9_999)])
    shapes = draw(panel, FRAME)
    marks = [shape for shape in shapes if isinstance(shape, Line) and shape.tone.startswith("mark")]
    assert [(mark.tone, mark.title) for mark in marks] == [
        ("mark observe", "00:05:30 observe"),
        ("mark throttle", "00:10:15 throttle"),
    ]
    assert [mark.points[0][0] for mark in marks] == pytest.approx([FRAME.left + 300, FRAME.left + 600 * 10.25 / 11])
    (dot,) = [shape for shape in shapes if isinstance(shape, Dot)]
    assert (dot.x, dot.y) == (marks[1].points[0][0], FRAME.bottom - FRAME.height * 88 / panel.highest())


def test_levels_are_drawn_for_the_mildest_rung_and_the_strictest_decided() -> None:
    assert Panel(a_track(5), []).drawn_rungs() == [Action.OBSERVE]
    assert Panel(a_track(5), [moment(0, Action.THROTTLE)]).drawn_rungs() == [Action.OBSERVE, Action.THROTTLE]
    assert Panel(a_track(5), [moment(0, Action.BLOCK)]).drawn_rungs() == [Action.OBSERVE, Action.THROTTLE]


def test_a_level_far_above_everything_neither_flattens_the_series_nor_is_drawn() -> None:
    shapes = draw(Panel(a_track(100, level=1e9), []), FRAME)
    assert not [shape for shape in shapes if isinstance(shape, Line) and shape.tone.startswith("level")]
    assert Panel(a_track(100, level=1e9), []).highest() <= 300


_VALUES = st.none() | st.floats(0, 1e12)


@given(
    served=st.lists(_VALUES, min_size=1, max_size=12),
    expected=_VALUES,
    level=_VALUES | st.just(inf),
    observed=_VALUES,
    at_s=st.floats(-1e6, 1e6),
    limit=_VALUES,
)
def test_whatever_is_drawn_lies_within_its_frame(
    *,
    served: list[float | None],
    expected: float | None,
    level: float | None,
    observed: float | None,
    at_s: float,
    limit: float | None,
) -> None:
    track = a_track(*served)
    track.expected = [expected] * len(served)
    track.levels = {Action.OBSERVE: [level] * len(served)}
    for shape in draw(Panel(track, [moment(at_s, observed=observed)], limit), FRAME):
        assert not isinstance(shape, Words)
        for x, y in [(shape.x, shape.y)] if isinstance(shape, Dot) else shape.points:
            assert FRAME.left - 1e-6 <= x <= FRAME.left + FRAME.width + 1e-6
            assert FRAME.top - 1e-6 <= y <= FRAME.bottom + 1e-6


def test_path_data_are_short_where_lines_are_level_or_upright() -> None:
    assert path([(0, 10), (5, 10), (5, 20.04), (5, 20), (8, 21)]) == "M0 10H5V20L8 21"


def test_a_picture_tells_who_when_why_and_from_what() -> None:
    picture = shown(a_runaway())
    words = " ".join(shape.text for shape in compose(picture).shapes if isinstance(shape, Words))
    for told in (
        "tenant acme: throttle: ",
        "Decided at 2026-01-01 00:30:01 UTC (▼), until ",
        "this would not have been decided.",
        "Requests in 10 s, the busiest of each minute",
        "usual ",
        "throttle above ",
        "Rebuilt from 724 recorded events",
        "Run again on these events, the detector makes this decision, with the same id.",
    ):
        assert told in words


def test_a_pictures_own_decision_is_pointed_at_among_the_subjects_others() -> None:
    drawing = compose(shown(a_runaway(), 0))
    pointers = [shape for shape in drawing.shapes if isinstance(shape, Area) and shape.tone == Action.OBSERVE]
    marks = [shape for shape in drawing.shapes if isinstance(shape, Line) and shape.tone == "mark observe"]
    assert [shape.points[-1] for shape in pointers] == [mark.points[0] for mark in marks]


def test_a_picture_says_when_it_knows_less_than_the_detector_did() -> None:
    events = a_runaway()
    made = run(events)
    cut = [one for one in events if one["time"] >= "2026-01-01T00:29"]
    picture = picture_of(made[-1], made, policy(version="other"), Recorded(values(cut), "a test", is_whole=False))
    notes = " ".join(picture.notes)
    assert "Levels are those of policy other; test-1 is not at hand." in notes
    assert "Older events are not there" in notes
    assert re.search(r"usual was [\d.]+ for the detector, [\d.]+ here", notes)


def test_a_release_is_drawn_with_the_features_of_what_it_ends() -> None:
    events = in_order(steady(0, 3600, 4), steady(1200, 1260, 4_000, name="tokens", output_tokens=2_000))
    made = run(events)
    release = next(place for place, one in enumerate(made) if one.action is Action.ALLOW)
    spoke = {reason.code for reason in made[release - 1].reasons}
    picture = shown(events, release)
    assert {panel.track.feature.code for panel in picture.panels} <= spoke
    assert any(one.mark.action is Action.ALLOW for one in picture.panels[0].moments)


def test_an_events_less_picture_is_refused() -> None:
    made = run(a_runaway())
    for recorded in ([], values([event(90_000)]), values([event(0, "other")])):
        with pytest.raises(NothingRecordedError, match="no event of 'acme' around 2026-01-01 00:30:"):
            picture_of(made[0], made, POLICY, Recorded(recorded, "a test", is_whole=True))


def test_both_forms_hold_the_picture() -> None:
    drawing = compose(shown(a_runaway()))
    root = ElementTree.fromstring(to_standalone_svg(drawing))  # noqa: S314
    assert root.get("viewBox") == f"0 0 {drawing.width} {drawing.height}"
    assert "NaN" not in to_standalone_svg(drawing)
    image = Image.open(BytesIO(to_png(drawing)))
    assert image.size == (2 * drawing.width, 2 * drawing.height)
    colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or ()}
    for tone in ("page", "rate", "throttle"):
        assert tuple(int(LIGHT[tone][place : place + 2], 16) for place in (1, 3, 5)) in colours


def test_nothing_of_a_subjects_name_becomes_markup() -> None:
    hostile = "<script>alert(1)</script>\x1b"
    events = [one | {"tenant_id": hostile} for one in a_runaway()]
    drawn = to_standalone_svg(compose(shown(events)))
    ElementTree.fromstring(drawn)  # noqa: S314
    assert "<script" not in drawn


def test_words_stay_on_the_page_and_apart() -> None:
    drawing = compose(shown(a_runaway()))
    rows: dict[float, list[Words]] = {}
    for shape in drawing.shapes:
        if isinstance(shape, Words):
            assert 0 < shape.y < drawing.height
            rows.setdefault(shape.y, []).append(shape)
    for row in rows.values():
        starts = sorted((one for one in row if one.anchor == "start"), key=lambda one: one.x)
        for left, right in pairwise(starts):
            assert left.x + 0.5 * left.size * len(left.text) < right.x


def test_palettes_know_the_same_tones_as_the_page() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert set(Action) <= LIGHT.keys()
    style = PAGE_STYLE.read_text()
    for tone in LIGHT.keys() - {"page"}:
        assert f"--{tone}: {LIGHT[tone]};" in style
        assert f"--{tone}: {DARK[tone]};" in style


def test_a_decision_of_a_newer_version_is_drawn_by_its_requests() -> None:
    made: list[Decision] = run(a_runaway())
    strange = [Decision(**{name: getattr(made[0], name) for name in Decision.__struct_fields__} | {"reasons": []})]
    picture = picture_of(strange[0], strange, POLICY, Recorded(values(a_runaway()), "a test", is_whole=True))
    assert [panel.track.feature.code for panel in picture.panels] == [
        next(feature.code for feature in FEATURES if feature.window_s == 60)
    ]
