import pytest
import torch

from support.controllers import part
from support.routes import expected_gradient, leads, on_one_token


def test_it_is_the_log_ratio_in_the_loss() -> None:
    assert on_one_token("loss_k1") == pytest.approx(0.693147, abs=1e-6)
    assert leads("loss_k1") == (True, False, False)


def test_on_policy_it_controls_nothing_and_says_so() -> None:
    torch.testing.assert_close(expected_gradient("loss_k1"), torch.zeros(5, dtype=torch.float64), atol=1e-9, rtol=0)
    assert "zero on-policy" in part("route", "loss_k1").known_bad
