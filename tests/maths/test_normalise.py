import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.normalise import RunningState, released_init, released_step, running_init, running_step

batches = st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=6), min_size=1, max_size=5)


def test_running_by_hand():
    state, first = running_step(running_init(), [1.0, 2.0, 3.0], eps=1e-12)
    assert first == pytest.approx([-1, 0, 1], abs=1e-9)
    state, second = running_step(state, [4.0, 6.0], eps=1e-12)
    # Measured on mean 2 and deviation 1, from before.
    assert second == pytest.approx([2, 4], abs=1e-9)
    # 1 2 3 4 6: mean 3.2, squares (2.2^2 + 1.2^2 + .2^2 + .8^2 + 2.8^2) / 5 = 2.96
    assert (state.mean, state.variance, state.count) == pytest.approx((3.2, 2.96, 5), abs=1e-9)
    _, third = running_step(state, [3.2], eps=1e-12)
    assert third == pytest.approx([0], abs=1e-9)


@given(batches)
def test_running_statistics_are_those_of_all_values_at_once(parts):
    state, seen = running_init(), []
    for batch in parts:
        before = list(seen) if seen else list(batch)
        state, scaled = running_step(state, batch)
        spread = numpy.var(before, ddof=1) if len(before) > 1 else 0.0
        oracle = [(x - numpy.mean(before)) / math.sqrt(spread + 1e-8) for x in batch]
        # Both sides round differently where the variance is next to 0 and eps = 1e-8 divides.
        assert scaled == pytest.approx(oracle, rel=1e-6, abs=1e-4)
        seen += batch
    assert state.mean == pytest.approx(numpy.mean(seen), abs=1e-9)
    assert state.variance == pytest.approx(numpy.var(seen), abs=1e-9)
    assert state.count == len(seen)


def test_running_is_not_updated_before_use():
    state, _ = running_step(running_init(), [0.0, 1.0])
    _, alone = running_step(state, [5.0])
    _, together = running_step(state, [5.0, -100.0])
    assert alone[0] == together[0]


def test_released_by_hand():
    state, scaled = released_step(released_init(), [1.0, 2.0, 3.0])
    # weight 1e-4 at mean 0, variance 1: mean 6 / 3.0001;
    # squares 1e-4 + 3 * 1 (unbiased variance, times n) + 4 * 1e-4 * 3 / 3.0001, over 3.0001
    assert state.mean == pytest.approx(1.999933336, abs=1e-9)
    assert state.variance == pytest.approx(1.000133325, abs=1e-9)
    assert state.count == pytest.approx(3.0001, abs=1e-12)
    assert scaled == pytest.approx([-0.999866674, 0.000066660, 0.999999994], abs=1e-9)


def test_released_is_updated_before_use():
    start = RunningState(mean=0.0, variance=1.0, count=2.0)
    state, scaled = released_step(start, [4.0, 6.0])
    # mean (0 * 2 + 5 * 2) / 4 = 2.5; squares 2 + 2 * 2 + 25 * 2 * 2 / 4 = 31, over 4
    assert (state.mean, state.variance) == pytest.approx((2.5, 7.75), abs=1e-12)
    assert scaled == pytest.approx([1.5 / 7.75**0.5, 3.5 / 7.75**0.5], abs=1e-7)  # eps 1e-8 on the deviation


def test_released_variance_is_too_large_by_one_nth():
    rng = numpy.random.default_rng(0)
    state = released_init()
    for _ in range(2000):
        state, _ = released_step(state, rng.normal(size=4).tolist())
    # Per batch n s^2 + 1 in place of (n - 1) s^2 + 1: 5/4 at n = 4. 8,000 draws: a standard error of 1.6 %.
    assert state.variance == pytest.approx(5 / 4, rel=0.05)


def test_released_batch_of_one_counts_as_without_variance():
    state, _ = released_step(RunningState(mean=1.0, variance=2.0, count=3.0), [1.0])
    assert state.variance == pytest.approx(1.5, abs=1e-12)  # 6 / 4


def test_equal_rewards_stay_finite():
    state, scaled = running_step(running_init(), [2.0, 2.0])
    assert scaled == [0, 0]
    assert running_step(state, [2.0])[1] == [0]
    assert all(math.isfinite(x) for x in released_step(released_init(), [2.0, 2.0])[1])


@pytest.mark.parametrize("value", [0.1, 7.1714287, 1e6 / 3, -3e9 / 7])
@pytest.mark.parametrize("size", [3, 7, 600])
def test_equal_rewards_are_exactly_zero_however_they_round(value, size):
    state = running_init()
    for _ in range(3):
        state, scaled = running_step(state, [value] * size)
        assert scaled == [0] * size
        assert (state.mean, state.variance) == (value, 0)


@pytest.mark.parametrize(("init", "step"), [(released_init, released_step), (running_init, running_step)])
def test_state_survives_json_to_the_last_bit(init, step):
    state, _ = step(init(), [0.1, 0.7, 0.3])
    assert RunningState.model_validate_json(state.model_dump_json()) == state
