import pytest
import torch

from support.routes import expected_gradient, kl_gradient, leads, on_one_token


def test_it_is_half_the_square_in_the_loss() -> None:
    # log(2)^2 / 2
    assert on_one_token("loss_k2") == pytest.approx(0.240227, abs=1e-6)
    assert leads("loss_k2") == (True, False, False)


def test_its_gradient_is_that_of_the_kl_on_policy() -> None:
    torch.testing.assert_close(expected_gradient("loss_k2"), kl_gradient(), atol=1e-9, rtol=0)
