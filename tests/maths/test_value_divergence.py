import math

from safelab.maths.detectors import detect
from support.rows import fired, options, rows


def divergences(loss: list[float], explained: list[float]) -> list[int]:
    return fired(detect(options(), rows(loss=loss, explained=explained), 32), "crash/value_divergence")


def test_fires_where_the_mean_loss_passes_ten_times_its_start_while_nothing_is_explained() -> None:
    # Ten-update mean after the k-th 51 is 1 + 5 k: above 10 with the second.
    assert divergences([1.0] * 10 + [51.0] * 5, [-0.1] * 15) == [11]


def test_a_critic_that_still_explains_something_follows_rewards_that_have_grown() -> None:
    assert divergences([1.0] * 10 + [51.0] * 20, [0.3] * 30) == []


def test_a_loss_that_falls_or_stays_is_none() -> None:
    assert divergences([100.0 / (1 + k) for k in range(60)], [-0.5] * 60) == []
    assert divergences([1.0] * 10 + [9.0] * 30, [-0.5] * 40) == []


def test_one_divergence_lasts_until_the_loss_is_back_at_its_start() -> None:
    up, down = [51.0] * 10, [1.0] * 12
    assert divergences([1.0] * 10 + up + [20.0] * 10 + up, [-0.1] * 40) == [11]
    assert divergences([1.0] * 10 + up + down + up, [-0.1] * 42) == [11, 33]


def test_no_divergence_before_the_window_is_full() -> None:
    assert divergences([1.0] * 8 + [1e9], [-1.0] * 9) == []


def test_a_loss_that_is_not_finite_is_one_at_once() -> None:
    for bad in (math.nan, math.inf):
        assert divergences([1.0] * 3 + [bad] * 3 + [1.0] * 3, [0.5] * 9) == [3]


def test_where_all_returns_are_equal_the_variance_says_nothing() -> None:
    made = rows(loss=[1.0] * 10 + [51.0] * 5)
    assert fired(detect(options(), made, 32), "crash/value_divergence") == []
