"""A battery over the baseline, after River's own checks: cold start, extremes, determinism, memory, inversion."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from stream_app.detection.scorers import MIN_LOG_SD, Baseline, Prior, t_quantile

PRIOR = Prior(5.0, 1.0)
repeatable = settings(derandomize=True, deadline=None)
histories = st.lists(st.floats(0, 1e12), max_size=60)


def learned(values: list[float], memory: float = 720.0) -> Baseline:
    baseline = Baseline()
    for value in values:
        baseline.learn_one(value, memory)
    return baseline


def score(values: list[float], value: float) -> float:
    return learned(values).expect(PRIOR).score(value)


def test_cold_start_judges_by_the_prior() -> None:
    expectation = Baseline().expect(PRIOR)
    assert expectation.level(0.0) == pytest.approx(5.0)
    assert expectation.score(5.0) == pytest.approx(0.5)
    assert 0 < expectation.score(0) < 0.5 < expectation.score(1e6) < 1


def test_a_few_windows_of_its_own_outweigh_the_prior() -> None:
    assert score([500.0] * 3, 600.0) < 0.9 < score([5.0] * 3, 600.0)
    assert learned([500.0] * 3).expect(PRIOR).level(0.0) == pytest.approx(500, rel=0.2)


def test_a_constant_series_leaves_room_for_ordinary_variation() -> None:
    expectation = learned([100.0] * 1000).expect(PRIOR)
    assert expectation.level(0.0) == pytest.approx(100, rel=0.01)
    assert expectation.sd >= MIN_LOG_SD
    assert expectation.score(130) < 0.9
    assert expectation.score(100 * 60) > 0.999999


@given(values=histories, value=st.floats(0, 1e15))
@repeatable
def test_any_history_gives_a_score_between_zero_and_one(values: list[float], value: float) -> None:
    expectation = learned(values).expect(PRIOR)
    assert 0 <= expectation.score(value) <= 1
    assert 0 < expectation.level(6.0) < float("inf")


@given(values=histories, others=st.lists(st.floats(0, 1e12), min_size=2, max_size=10))
@repeatable
def test_a_larger_value_never_scores_lower(values: list[float], others: list[float]) -> None:
    expectation = learned(values).expect(PRIOR)
    scores = [expectation.score(value) for value in sorted(others)]
    assert all(low <= high for low, high in pairwise(scores))


@given(values=st.lists(st.floats(0, 1e6), max_size=60), wanted=st.sampled_from([0.51, 0.9, 0.99, 0.9999, 0.999999]))
@repeatable
def test_level_inverts_score(values: list[float], wanted: float) -> None:
    expectation = learned(values).expect(PRIOR)
    assert expectation.score(expectation.level(t_quantile(wanted))) == pytest.approx(wanted, abs=1e-9)


def test_learning_is_deterministic_and_keeps_three_numbers() -> None:
    random = Random(7)
    values = [random.lognormvariate(3, 1) for _ in range(5_000)]
    state = astuple(learned(values))
    assert astuple(learned(values)) == state
    assert len(state) == 3
    assert Baseline(*state).expect(PRIOR) == learned(values).expect(PRIOR)
    ahead, restored = learned([*values, 9.0]), Baseline(*state)
    restored.learn_one(9.0, 720.0)
    assert restored == ahead


def test_until_its_memory_is_full_the_order_does_not_matter() -> None:
    values = [float(k * k % 97) for k in range(100)]
    forward, backward = learned(values).expect(PRIOR), learned(values[::-1]).expect(PRIOR)
    assert forward == pytest.approx(backward)


def test_what_is_older_than_its_memory_fades() -> None:
    baseline = learned([1000.0] * 500 + [10.0] * 500, memory=50.0)
    assert baseline.weight == pytest.approx(50.0)
    assert baseline.expect(PRIOR).level(0.0) == pytest.approx(10, rel=0.05)


def test_predict_then_learn_covers_what_it_says() -> None:
    """Of log-normal windows, hardly more than one in a thousand scores .999."""
    random, baseline, above = Random(3), Baseline(), 0
    for _ in range(20_000):
        value = random.lognormvariate(3, 0.7)
        above += baseline.expect(PRIOR).score(value) >= 0.999
        baseline.learn_one(value, 720.0)
    assert above <= 25


def test_golden_values() -> None:
    expectation = learned([3.0, 4.0, 8.0, 2.0, 5.0, 6.0, 4.0, 7.0]).expect(PRIOR)
    assert (round(expectation.mean, 9), round(expectation.sd, 9)) == (GOLDEN_MEAN, GOLDEN_SD)
    assert t_quantile(0.9999) == pytest.approx(6.442, abs=5e-4)
    assert t_quantile(0.999) == pytest.approx(4.501, abs=5e-4)


#: Of scorer version 1; other numbers are another version.
GOLDEN_MEAN, GOLDEN_SD = 1.715715328, 0.792092216
