import math

from safelab.crash.detectors import detect
from support.rows import fired, options, rows


def spikes(kl):
    return fired(detect(options(), rows(kl=kl), 32), "crash/kl_spike")


def test_spike_fires_at_the_jump_above_the_median():
    assert spikes([0.1] * 10 + [0.61] + [0.1] * 5) == [10]
    assert spikes([0.1] * 10 + [0.6] + [0.1] * 5) == []


def test_at_high_kl_the_jump_is_relative():
    assert spikes([4.0] * 10 + [5.9]) == []
    assert spikes([4.0] * 10 + [6.1]) == [10]


def test_a_single_outlier_does_not_move_the_median():
    assert spikes([0.1] * 5 + [9.0] + [0.1] * 4 + [0.61]) == [10]


def test_spikes_are_ten_updates_apart():
    calm = [0.1] * 10
    assert spikes([*calm, 2.0, *[0.1] * 8, 2.0]) == [10]
    assert spikes([*calm, 2.0, *[0.1] * 9, 2.0]) == [10, 20]


def test_a_step_to_a_new_level_is_one_spike():
    assert spikes([0.1] * 15 + [2.0] * 40) == [15]


def test_a_slow_climb_is_no_spike():
    assert spikes([0.02 * k for k in range(100)]) == []


def test_no_spike_before_the_window_is_full():
    assert spikes([0.1] * 9 + [3.0]) == []


def test_a_kl_that_is_not_finite_is_a_spike():
    for bad in (math.nan, math.inf):
        assert spikes([0.1] * 3 + [bad] * 4 + [0.1] * 3) == [3]
    # It leaves the window as it was: 0.61 is still above the median 0.1.
    assert spikes([0.1] * 10 + [math.inf] + [0.1] * 9 + [0.61]) == [10, 20]
