import pytest
import torch

from safelab.types import TopK
from support.controllers import part
from support.routes import OLD, POLICY, REFERENCE, kl_gradient, leads


def gradient(k: int, form: str, sampler: torch.Tensor) -> torch.Tensor:
    """Of the route's KL in the policy's logits, in expectation over tokens that ``sampler`` wrote."""
    route = part("route", "loss_topk", k=k, gradient=form)
    logits = POLICY.clone().requires_grad_()
    logp, logp_sampler = logits.log_softmax(-1), sampler.log_softmax(-1)
    ids = OLD.topk(route.top_k).indices
    inside_tok = torch.isin(torch.arange(5), ids)
    # One response of five tokens: each that may be sampled, once.
    topk = TopK(logp=logp[ids].expand(1, 5, -1), logp_ref=REFERENCE[ids].expand(1, 5, -1), inside_tok=inside_tok[None])
    kl_tok = route.kl_topk_tok(topk, (logp - REFERENCE)[None], (logp - logp_sampler)[None])
    (logp_sampler.exp() * kl_tok).sum().backward()
    return logits.grad


def test_it_leads_into_the_loss_and_reads_no_exact_kl() -> None:
    assert leads("loss_topk") == (True, False, False)
    assert part("route", "loss_topk").top_k == 32


@pytest.mark.parametrize("sampler", [POLICY, OLD], ids=["fresh", "stale"])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_its_gradient_is_that_of_the_kl_whoever_sampled(k: int, sampler: torch.Tensor) -> None:
    torch.testing.assert_close(gradient(k, "unbiased", sampler), kl_gradient(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("k", [1, 3])
def test_as_released_the_likeliest_tokens_lose_probability(k: int) -> None:
    probabilities, ids = POLICY.softmax(-1), OLD.topk(k).indices
    inside = torch.isin(torch.arange(5), ids).double()
    # d p(S) / d logits = p (1[S] - p(S)), by hand: what is descended besides the KL.
    bias = probabilities * (inside - probabilities[ids].sum())
    torch.testing.assert_close(gradient(k, "released", POLICY) - kl_gradient(), bias, atol=1e-9, rtol=0)


def test_of_the_whole_vocabulary_both_are_exact() -> None:
    torch.testing.assert_close(gradient(5, "released", POLICY), kl_gradient(), atol=1e-9, rtol=0)
