"""NAB's rule on small series whose score is known."""

import numpy as np
import pytest

from benchmarks.nab.detectors import cooled_down
from benchmarks.nab.scoring import Series, score_corpus

ROWS = 1_000  # the first 150 count nothing


def series(*windows: tuple[int, int]) -> Series:
    return Series("made up", [0] * ROWS, np.zeros(ROWS), list(windows))


def alarms(*rows: int) -> np.ndarray:  # type: ignore[type-arg]
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


def test_a_cool_down_leaves_the_first_and_what_is_louder() -> None:
    cooled = cooled_down(np.array([0.0, 3, 2, 3, 4, 1, 1, 1, 2]), rows=2)
    assert np.isfinite(cooled).tolist() == [True, True, False, False, True, False, False, False, True]
