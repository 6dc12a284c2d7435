import math

from safelab.crash.detectors import detect
from support.rows import fired, options, rows

BATCH = 40  # 6 SE = 6 s / sqrt(10 * 40) = 0.3 s


def crashes(means, std=0.1, batch=BATCH):
    stds = std if isinstance(std, list) else [std] * len(means)
    return fired(detect(options(), rows(mean=means, std=stds), batch), "crash/reward")


def test_a_step_down_fires_once_where_the_mean_passes_the_tolerance():
    # Gain 0, so 6 SE = 0.03: ten-update mean 0.5 - k * 0.04 / 10 passes 0.47 with the eighth low update.
    assert crashes([0.5] * 20 + [0.46] * 30) == [27]


def test_a_fall_within_the_noise_does_not_fire():
    assert crashes([0.5] * 20 + [0.472] * 50) == []


def test_a_share_of_the_gain_is_forgiven():
    # From 0.2 to 0.8: 25 % of 0.6 is 0.15, more than 6 SE.
    climb = [0.2] * 10 + [0.2 + 0.02 * k for k in range(31)] + [0.8] * 10
    assert crashes([*climb, *[0.66] * 30]) == []
    assert len(crashes([*climb, *[0.64] * 30])) == 1


def test_it_is_armed_again_when_half_is_recovered():
    down_and_half_up = [0.5] * 20 + [0.3] * 15 + [0.42] * 15
    assert len(crashes([*down_and_half_up, *[0.3] * 15])) == 2
    # A third of the way up is not enough.
    assert len(crashes([0.5] * 20 + [0.3] * 15 + [0.36] * 15 + [0.3] * 15)) == 1


def test_nothing_is_judged_before_the_window_is_full():
    assert crashes([0.9] * 5 + [0.0] * 4) == []


def test_a_peak_keeps_its_own_noise_when_responses_become_alike():
    # The policy narrows to one response: deviation 0 now, but the peak of 0.5 was a noisy one.
    assert crashes([0.5] * 20 + [0.475] * 30, std=[0.1] * 20 + [0.0] * 30) == []
    assert len(crashes([0.5] * 20 + [0.475] * 30, std=[0.0] * 50)) == 1


def test_more_responses_mean_less_noise():
    assert crashes([0.5] * 20 + [0.48] * 30, batch=40) == []
    assert len(crashes([0.5] * 20 + [0.48] * 30, batch=400)) == 1


def test_a_reward_that_is_not_finite_is_a_crash_once():
    for bad in (math.nan, math.inf, -math.inf):
        assert crashes([0.5] * 12 + [bad] * 5 + [0.5] * 9, std=[0.1] * 12 + [math.nan] * 5 + [0.1] * 9) == [12]
    assert crashes([math.nan] * 3, std=[math.nan] * 3) == [0]


def test_after_a_whole_finite_window_it_is_armed_again():
    rewards, deviations = [0.5] * 12 + [math.nan] + [0.5] * 10, [0.1] * 12 + [math.nan] + [0.1] * 10
    assert crashes([*rewards, math.nan], std=[*deviations, math.nan]) == [12, 23]
    assert crashes([*rewards[:-1], math.nan], std=[*deviations[:-1], math.nan]) == [12]


def test_a_crash_that_ends_in_nan_counts_once():
    assert len(crashes([0.5] * 20 + [0.1] * 12 + [math.nan] * 3, std=[0.1] * 32 + [math.nan] * 3)) == 1
