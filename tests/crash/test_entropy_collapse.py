import math

from safelab.crash.detectors import detect
from support.rows import fired, options, rows


def collapses(entropy):
    return fired(detect(options(), rows(entropy=entropy), 32), "crash/entropy_collapse")


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
