import pytest
import torch

from support.controllers import part
from support.routes import OLD, expected_gradient, kl_gradient, leads, on_one_token


def test_it_is_k1_times_the_ratio_in_the_loss() -> None:
    # 1.5 log 2
    assert on_one_token("ratio_k1") == pytest.approx(1.039721, abs=1e-6)
    assert leads("ratio_k1") == (True, False, False)


def test_its_gradient_is_that_of_the_kl_whoever_sampled() -> None:
    for gradient in (expected_gradient("ratio_k1"), expected_gradient("ratio_k1", OLD)):
        torch.testing.assert_close(gradient, kl_gradient(), atol=1e-9, rtol=0)


def test_stale_tokens_are_weighted_by_the_policy_that_wrote_them() -> None:
    # Tokens 0, 0, 1, 2 have the frequencies of the sampler, so that the mean over them is the expectation.
    sampler, policy, reference = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]]).double()
    tokens = torch.tensor([0, 0, 1, 2])
    logits = policy.log().requires_grad_()
    logp_tok = logits.log_softmax(-1)[tokens]
    log_ratio_ref_tok, log_ratio_tok = logp_tok - reference.log()[tokens], logp_tok - sampler.log()[tokens]
    kl = part("route", "ratio_k1").kl_tok(log_ratio_ref_tok, log_ratio_ref_tok, log_ratio_tok).mean()
    kl.backward()
    assert float(kl.detach()) == pytest.approx(0.2332, abs=1e-4)
    torch.testing.assert_close(logits.grad, torch.tensor([-0.185, -0.156, 0.342]).double(), atol=1e-3, rtol=0)
