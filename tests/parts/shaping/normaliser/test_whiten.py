import pytest
import torch

from safelab.plugins import build_option
from support.models import context


def whiten(reward, shift_mean, eps=1e-12):
    part = build_option("shaping/normaliser", {"name": "whiten", "eps": eps, "shift_mean": shift_mean}, context())
    state, scaled = part.step(part.init(), torch.tensor(reward))
    assert state == part.init()
    return scaled.tolist()


def test_by_hand_with_and_without_the_mean():
    assert whiten([1.0, 2.0, 3.0], shift_mean=True) == pytest.approx([-1, 0, 1], abs=1e-5)
    assert whiten([1.0, 2.0, 3.0], shift_mean=False) == pytest.approx([1, 2, 3], abs=1e-5)
    assert whiten([2.0, 4.0, 6.0], shift_mean=False) == pytest.approx([3, 4, 5], abs=1e-5)


def test_equal_rewards_and_a_batch_of_one():
    assert whiten([5.0, 5.0], shift_mean=True) == [0, 0]
    assert whiten([5.0], shift_mean=False) == [5]


def test_eps_is_read():
    assert whiten([1.0, 2.0, 3.0], shift_mean=True, eps=3.0) == pytest.approx([-0.5, 0, 0.5], abs=1e-5)
