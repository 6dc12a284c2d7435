import pytest
import torch

from support.routes import OLD, expected_gradient, kl_gradient, leads, on_one_token


def test_it_is_the_exact_kl_in_the_loss() -> None:
    assert on_one_token("loss_exact") == pytest.approx(0.5)
    assert leads("loss_exact") == (True, False, True)


def test_its_gradient_is_that_of_the_kl_whoever_sampled() -> None:
    for gradient in (expected_gradient("loss_exact"), expected_gradient("loss_exact", OLD)):
        torch.testing.assert_close(gradient, kl_gradient(), atol=1e-9, rtol=0)
