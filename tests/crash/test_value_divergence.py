from safelab.crash.detectors import detect
from support.rows import fired, options, rows


def test_values_diverge_where_their_mean_error_passes_25_times_that_of_zeros():
    made = rows(error=[1.0] * 10 + [126.0] * 10)
    # Ten-update mean after k of 126 is 1 + 12.5 k: above 25 with the second.
    assert fired(detect(options(), made, 32), "crash/value_divergence") == [11]
    assert fired(detect(options(), rows(error=[24.9] * 40), 32), "crash/value_divergence") == []
