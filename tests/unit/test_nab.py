"""NAB's rule on small series whose score is known."""

import numpy as np
import pytest

from benchmarks.nab.detectors import stillwatch, ten_rows
from benchmarks.nab.scoring import Floats, Series, score_corpus, told

ROWS = 1_000  # the first 150 count nothing


def series(*windows: tuple[int, int]) -> Series:
    return Series("made up", [0] * ROWS, np.zeros(ROWS), list(windows))


def alarms(*rows: int) -> Floats:
    scores = np.zeros(ROWS)
    scores[list(rows)] = 1.0
    return scores


def test_the_first_row_of_every_window_is_perfect() -> None:
    result = score_corpus([series((300, 399), (700, 799))], [alarms(300, 700)])
    assert result.score == pytest.approx(100)
    assert (result.found, result.windows, result.false_detections) == (2, 2, 0)


def test_silence_is_worth_nothing() -> None:
    assert score_corpus([series((300, 399))], [np.full(ROWS, 0.5)]).score == pytest.approx(0)


def test_half_way_through_a_window_earns_less() -> None:
    """2/(1+e^-2.5)-1 = .848 of .987 at its beginning; with a miss at -1 and a hit at 1, that is 93 of 100."""
    assert score_corpus([series((300, 399))], [alarms(350)]).score == pytest.approx(93, abs=0.1)


def test_a_false_detection_costs_eleven_hundredths_far_from_windows_and_less_behind_one() -> None:
    far = score_corpus([series((300, 399))], [alarms(200, 300)]).score
    assert far == pytest.approx(100 * (2 - 0.11) / 2)
    near = score_corpus([series((300, 399))], [alarms(300, 405)]).score
    assert far < near < 100


def test_the_probation_counts_nothing() -> None:
    assert score_corpus([series((300, 399))], [alarms(100, 300)]).score == pytest.approx(100)


def test_one_threshold_holds_for_all_series() -> None:
    quiet, loud = 0.5 * alarms(300), alarms(500, *range(200, 220))
    result = score_corpus([series((300, 399)), series((500, 599))], [quiet, loud])
    assert result.found == 2
    assert result.score == pytest.approx(100 * (4 - 20 * 0.11) / 4)


def test_in_silence_only_the_first_row_is_told() -> None:
    above = np.array([1, 1, 0, 1, 0, 0, 0, 1, 1], bool)
    assert told(above, 0).tolist() == [0, 1, 3, 7, 8]
    assert told(above, 2).tolist() == [0, 7]


def test_silence_saves_false_detections() -> None:
    scores = [alarms(*range(200, 205), 300)]
    assert score_corpus([series((300, 399))], scores).false_detections == 5
    assert score_corpus([series((300, 399))], scores, silence=50).false_detections == 1


def test_what_begins_in_silence_is_missed() -> None:
    assert score_corpus([series((300, 399))], [alarms(280, 300)], silence=50).found == 0


def test_means_of_ten_rows_look_back_only() -> None:
    assert ten_rows(np.arange(12.0)).tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5.5, 6.5]


def test_a_gauge_that_leaves_its_level_either_way_is_the_highest_score() -> None:
    steady = np.sin(np.arange(1_000) / 7) + 50
    for jump in (-30, 30):
        moved = steady.copy()
        moved[700:720] += jump
        scores = stillwatch(Series("made up", [row // 12 for row in range(1_000)], moved, []))
        assert 700 <= int(scores.argmax()) <= 712


def test_a_score_depends_on_the_past_only() -> None:
    values = np.random.default_rng(5).lognormal(size=600)
    hours = [row // 12 for row in range(600)]
    other = np.concatenate([values[:500], 1_000 * values[500:]])
    scores, others = (stillwatch(Series("made up", hours, part, [])) for part in (values, other))
    assert scores[:500].tolist() == others[:500].tolist()
    assert scores[500:].tolist() != others[500:].tolist()
