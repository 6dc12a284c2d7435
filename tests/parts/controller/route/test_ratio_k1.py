import pytest
import torch

from support.routes import OLD, expected_gradient, kl_gradient, leads, on_one_token


def test_it_is_k1_times_the_ratio_in_the_loss() -> None:
    # 1.5 log 2
    assert on_one_token("ratio_k1") == pytest.approx(1.039721, abs=1e-6)
    assert leads("ratio_k1") == (True, False, False)


def test_its_gradient_is_that_of_the_kl_whoever_sampled() -> None:
    for gradient in (expected_gradient("ratio_k1"), expected_gradient("ratio_k1", OLD)):
        torch.testing.assert_close(gradient, kl_gradient(), atol=1e-9, rtol=0)
