from safelab.crash.detectors import detect
from support.rows import fired, options, rows


def repetitions(repeats):
    return fired(detect(options(), rows(repeats=repeats), 32), "crash/repetition")


def test_repetition_fires_where_the_mean_passes_half_of_all_pairs():
    # Ten-update mean after k pairs of 0.9 is 0.09 k: above 0.5 with the sixth; over below 0.25.
    assert repetitions([0.0] * 10 + [0.9] * 10) == [15]
    assert repetitions([0.0] * 10 + [0.9] * 10 + [0.3] * 20 + [0.9] * 10) == [15]
    assert repetitions([0.0] * 10 + [0.9] * 10 + [0.0] * 20 + [0.9] * 10) == [15, 45]
