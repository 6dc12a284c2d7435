import math

from safelab.crash.detectors import detect
from support.rows import fired, options, rows


def spikes(kl):
    return fired(detect(options(), rows(kl=kl), 32), "crash/kl_spike")


def explosions(kl):
    return fired(detect(options(), rows(kl=kl), 32), "crash/kl_explosion")


def collapses(entropy):
    return fired(detect(options(), rows(entropy=entropy), 32), "crash/entropy_collapse")


def repetitions(repeats):
    return fired(detect(options(), rows(repeats=repeats), 32), "crash/repetition")


def test_repetition_fires_where_the_mean_passes_half_of_all_pairs():
    # Ten-update mean after k pairs of 0.9 is 0.09 k: above 0.5 with the sixth; over below 0.25.
    assert repetitions([0.0] * 10 + [0.9] * 10) == [15]
    assert repetitions([0.0] * 10 + [0.9] * 10 + [0.3] * 20 + [0.9] * 10) == [15]
    assert repetitions([0.0] * 10 + [0.9] * 10 + [0.0] * 20 + [0.9] * 10) == [15, 45]


def test_values_diverge_where_their_mean_error_passes_25_times_that_of_zeros():
    made = rows(error=[1.0] * 10 + [126.0] * 10)
    # Ten-update mean after k of 126 is 1 + 12.5 k: above 25 with the second.
    assert fired(detect(options(), made, 32), "crash/value_divergence") == [11]
    assert fired(detect(options(), rows(error=[24.9] * 40), 32), "crash/value_divergence") == []


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


def test_a_kl_that_is_not_finite_is_a_spike_and_an_explosion():
    for bad in (math.nan, math.inf):
        assert spikes([0.1] * 3 + [bad] * 4 + [0.1] * 3) == [3]
        assert explosions([0.1] * 3 + [bad] * 4 + [0.1] * 3) == [3]
    # It leaves the window as it was: 0.61 is still above the median 0.1.
    assert spikes([0.1] * 10 + [math.inf] + [0.1] * 9 + [0.61]) == [10, 20]


def test_explosion_fires_where_the_mean_passes_the_threshold():
    # Five-update mean 0.5 + k * 0.2: above 1 with the third.
    assert explosions([0.5] * 6 + [1.5] * 20) == [8]
    assert explosions([1.0] * 20) == []
    assert explosions([2.0] * 4) == []


def test_hovering_at_the_threshold_is_one_explosion():
    assert len(explosions([0.9, 1.2] * 30)) == 1


def test_an_explosion_is_over_below_half_the_threshold():
    assert len(explosions([1.5] * 8 + [0.6] * 8 + [1.5] * 8)) == 1
    assert len(explosions([1.5] * 8 + [0.4] * 8 + [1.5] * 8)) == 2


def test_collapse_fires_at_the_twentieth_low_update():
    assert collapses([2.0] * 5 + [0.9] * 40) == [24]
    assert collapses([2.0] * 5 + [0.9] * 19 + [1.1] + [0.9] * 19) == []
    assert collapses([2.0] * 5 + [1.0] * 40) == []


def test_collapse_can_happen_twice():
    assert collapses([2.0] + [0.9] * 20 + [1.5] + [0.9] * 20) == [20, 41]


def test_rising_entropy_is_no_collapse():
    assert collapses([0.8 + 0.01 * k for k in range(100)]) == []


def test_an_entropy_that_is_not_finite_is_passed_over():
    assert collapses([math.nan, 2.0] + [0.9] * 10 + [math.nan] + [0.9] * 10) == [22]
