"""What a route of the KL penalty does to five logits, by exact sums over the vocabulary in place of samples."""

from typing import ClassVar

import torch
from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import exact_kl
from support.controllers import part

POLICY = torch.tensor([0.3, -1.2, 0.8, 2.0, -0.4], dtype=torch.float64)
REFERENCE = torch.tensor([0.1, 0.5, -0.9, 1.0, 0.2], dtype=torch.float64).log_softmax(-1)
OLD = torch.tensor([0.2, -0.7, 0.4, 1.1, 0.3], dtype=torch.float64)


def expected_gradient(option: str, sampler: Tensor = POLICY) -> Tensor:
    """Of ``kl_tok`` in the policy's logits, over tokens that ``sampler`` wrote."""
    logits = POLICY.clone().requires_grad_()
    logp, logp_sampler = logits.log_softmax(-1), sampler.log_softmax(-1)
    exact_tok = exact_kl(logp, REFERENCE).expand(5)
    kl_tok = part("route", option).kl_tok(exact_tok, logp - REFERENCE, logp - logp_sampler)
    (logp_sampler.exp() * kl_tok).sum().backward()
    return logits.grad


def kl_gradient() -> Tensor:
    """d KL(policy, reference) / d logits = p (d - KL), by hand."""
    logp = POLICY.log_softmax(-1)
    d = logp - REFERENCE
    return logp.exp() * (d - (logp.exp() * d).sum())


def on_one_token(option: str) -> float:
    """``kl_tok`` where the exact KL is 0.5, the policy twice and the old policy 1.5 times as sure as they were."""
    numbers = torch.tensor([[0.5]]), torch.tensor([[2.0]]).log(), torch.tensor([[1.5]]).log()
    return float(part("route", option).kl_tok(*numbers))


def leads(option: str) -> tuple[bool, bool, bool]:
    """Into the loss, into the reward, and whether it reads the exact KL."""
    route = part("route", option)
    return route.in_loss, route.in_reward, route.needs_exact


class ExactInReward(Route):
    """A user's own: the exact KL of each token's distribution is taken from its reward."""

    in_reward: ClassVar[bool] = True
    needs_exact: ClassVar[bool] = True

    share: float

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        return self.share * exact_tok


class Useless(ExactInReward):
    """A user's own that he knows to be of no use."""

    known_bad: ClassVar[str | None] = "it was written for a test; use reward"
