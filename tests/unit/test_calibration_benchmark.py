"""The calibration benchmark's own logic: each learned window is scored once, before that; factors and chart."""

from collections.abc import Iterator
from types import SimpleNamespace
from xml.etree import ElementTree

import orjson

from benchmarks.calibration import observing_policy, score
from benchmarks.calibration_page import ANY, page, reliability_chart
from stream_app.detection import closings
from stream_app.detection.learning import learn

#: The last one stays open.
MINUTES = 91


def one_a_minute() -> Iterator[tuple[int, bytes]]:
    for minute in range(MINUTES):
        event = {
            "id": f"e{minute}",
            "time": f"2026-01-01T{minute // 60:02}:{minute % 60:02}:30Z",
            "tenant_id": "t",
            "account_id": "a",
            "model": "m",
            "status_code": 200,
            "input_tokens": 100,
            "output_tokens": 10,
        }
        yield 1_767_225_600_000 + minute * 60_000 + 30_000, orjson.dumps(event)


def test_every_learned_window_is_scored_once_and_the_core_is_left_as_it_was() -> None:
    scores = score(one_a_minute(), observing_policy())
    assert vars(closings)["learn"] is learn
    (newcomer,), (known,) = scores.newcomers["requests_60s"].values(), scores.known["requests_60s"].values()
    assert (len(newcomer), len(known)) == (60, 30)
    assert sum(map(len, scores.known["requests_600s"].values())) == 3
    assert all(0 < part < 0.9 for part in known)  # always the same is no surprise


def test_a_factor_is_what_was_seen_by_what_was_said() -> None:
    scores = {ANY: {1: [0.95] * 20 + [0.5] * 80, 2: [0.95] * 20 + [0.5] * 80}}
    text = page({"made-up": SimpleNamespace(known=scores, newcomers={})}, 1, 1.0)
    assert f"| {ANY} | 200 | 2 (2–2) | 0 (< 1.5) |  |  |" in text


def test_the_chart_is_well_formed() -> None:
    ElementTree.fromstring(reliability_chart("made-up", {ANY: {1: [k / 1_000 for k in range(1_000)]}}))  # noqa: S314
