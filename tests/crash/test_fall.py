import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelab.crash.fall import Fall, fall_step, root_mean_square


def test_a_fall_begins_beyond_the_tolerance_and_not_at_it():
    assert fall_step(Fall(peak=1.0), 0.5, 0.5, 0.5) == (Fall(peak=1.0), False)
    assert fall_step(Fall(peak=1.0), 0.49, 0.5, 0.5) == (Fall(peak=1.0, trough=0.49), True)


def test_a_fall_lasts_until_half_is_recovered_and_then_the_level_is_the_peak():
    fall, _ = fall_step(Fall(peak=1.0, trough=0.5), 0.25, 0.5, 0.5)
    assert fall == Fall(peak=1.0, trough=0.25)
    assert fall_step(fall, 0.62, 0.5, 0.5) == (fall, False)
    assert fall_step(fall, 0.625, 0.5, 0.5) == (Fall(peak=0.625), False)


def test_the_peak_runs():
    assert fall_step(Fall(peak=1.0), 1.5, 0.1, 0.5) == (Fall(peak=1.5), False)


@given(st.lists(st.floats(-5, 5), max_size=30), st.floats(0, 3))
def test_two_falls_never_begin_without_a_recovery_between(levels, tolerance):
    fall = Fall(peak=0.0)
    for level in levels:
        lasted = fall.trough is not None
        fall, begun = fall_step(fall, level, tolerance, 0.5)
        assert not (lasted and begun)
        assert fall.trough is None or fall.trough <= fall.peak


def test_an_infinite_tolerance_never_fires():
    assert fall_step(Fall(peak=1.0), -1e9, math.inf, 0.5)[1] is False


def test_root_mean_square_by_hand():
    assert root_mean_square([3.0, 4.0]) == pytest.approx(math.sqrt(12.5), abs=1e-12)
