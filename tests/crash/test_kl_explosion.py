import math

from safelab.crash.detectors import detect
from support.rows import fired, options, rows


def explosions(kl):
    return fired(detect(options(), rows(kl=kl), 32), "crash/kl_explosion")


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


def test_a_kl_that_is_not_finite_is_an_explosion():
    for bad in (math.nan, math.inf):
        assert explosions([0.1] * 3 + [bad] * 4 + [0.1] * 3) == [3]
