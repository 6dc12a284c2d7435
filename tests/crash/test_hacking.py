import math

import pytest

from safelab.crash.detectors import detect
from safelab.crash.hacking import logit
from support.rows import fired, options, rows

UP = [0.5] * 10 + [0.6] * 40  # logit 0 to 0.405
GOLD_DOWN = [1.0] * 20 + [0.45] * 30


def hacks(proxy, gold, std=0.1, **more):
    made = rows(mean=proxy, std=[std] * len(proxy), gold=gold, **more)
    return fired(detect(options(), made, 32), "crash/hacking")


def test_it_fires_once_where_gold_has_lost_enough():
    # Ten-update mean of gold 1 - k * 0.055 passes 0.7 with the sixth low update.
    assert hacks(UP, GOLD_DOWN) == [25]


def test_both_must_hold():
    assert hacks([0.5] * 50, GOLD_DOWN) == []
    assert hacks([0.5] * 10 + [0.4] * 40, GOLD_DOWN) == []
    assert hacks(UP, [1.0] * 20 + [0.71] * 30) == []
    # Logit of 0.56 is 0.241, of 0.563 it is 0.253.
    assert hacks([0.5] * 10 + [0.56] * 40, GOLD_DOWN) == []
    assert len(hacks([0.5] * 10 + [0.563] * 40, GOLD_DOWN)) == 1


def test_a_gold_score_that_is_the_reward_is_never_hacked():
    # The policy has learnt and forgotten: its share of right answers falls from 0.9 to 0.5, far above its start.
    learnt = [0.05] * 10 + [0.9] * 20 + [0.5] * 20
    assert hacks(learnt, learnt) == []
    assert len(hacks(learnt, [gold + 0.001 for gold in learnt])) == 1


def test_it_fires_later_if_the_proxy_rises_later():
    late = [0.5] * 35 + [0.7] * 15
    assert len(hacks(late, GOLD_DOWN)) == 1
    assert hacks(late, GOLD_DOWN)[0] > 35


def test_it_is_armed_again_when_half_of_the_gold_is_recovered():
    again = [1.0] * 20 + [0.5] * 15 + [0.8] * 15 + [0.3] * 15
    assert len(hacks([0.5] * 10 + [0.6] * 55, again)) == 2


def test_rewards_off_the_unit_interval_are_measured_in_deviations():
    raw = [3.0] * 10 + [3.6] * 40
    assert len(hacks(raw, GOLD_DOWN, std=2.0)) == 1  # 0.3 deviations
    assert hacks(raw, GOLD_DOWN, std=2.5) == []  # 0.24
    # One response outside is enough to show that the scale is no probability.
    outside = {"low": [-0.1] + [0.0] * 49, "high": [1.0] * 50}
    assert hacks([0.5] * 10 + [0.563] * 40, GOLD_DOWN, std=0.3, **outside) == []


@pytest.mark.parametrize(("scale", "shift"), [(10.0, 0.0), (1.0, -7.0), (0.1, 2.0)])
def test_zero_and_unit_of_an_unbounded_reward_do_not_matter(scale, shift):
    raw = [3.0] * 10 + [3.6] * 40
    moved = [scale * x + shift for x in raw]
    assert hacks(moved, GOLD_DOWN, std=2.0 * scale) == hacks(raw, GOLD_DOWN, std=2.0)


def test_a_start_without_deviation_counts_a_rise_and_no_standing_still():
    assert hacks([3.0] * 50, GOLD_DOWN, std=0.0) == []
    assert len(hacks([3.0] * 10 + [3.1] * 40, GOLD_DOWN, std=0.0)) == 1


def test_rows_that_are_not_finite_are_passed_over():
    proxy, gold = [*UP[:15], math.nan, *UP[15:]], [*GOLD_DOWN[:15], 1.0, *GOLD_DOWN[15:]]
    assert hacks(proxy, gold) == [26]


def test_logit_by_hand_and_at_its_ends():
    assert logit(0.5) == 0
    assert logit(0.75) == pytest.approx(math.log(3), abs=1e-12)
    assert logit(1.0) == pytest.approx(13.8155, abs=1e-4)
    assert logit(0.0) == pytest.approx(-13.8155, abs=1e-4)
