import pytest
import torch

from support.routes import POLICY, REFERENCE, expected_gradient, leads, on_one_token


def test_it_is_the_estimator_of_grpo_in_the_loss() -> None:
    # 1/2 - 1 + log 2
    assert on_one_token("loss_k3") == pytest.approx(0.193147, abs=1e-6)
    assert leads("loss_k3") == (True, False, False)


def test_its_gradient_is_that_of_the_other_direction_on_policy() -> None:
    # d KL(reference, policy) / d logits = p - p_ref
    expected = POLICY.softmax(-1) - REFERENCE.exp()
    torch.testing.assert_close(expected_gradient("loss_k3"), expected, atol=1e-9, rtol=0)
