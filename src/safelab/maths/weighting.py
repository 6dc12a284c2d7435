"""Weights of a weighted log-likelihood, made in log space: a sequence's probability is too small a number for float32.

The first two come from the optimum of a reward with a KL penalty, pi*(y | x) ~ prior(y | x) exp(R(x, y) / beta).
"""

import torch
from jaxtyping import Float
from torch import Tensor


def anchored_weight(
    log_prior_ratio: Float[Tensor, "*shape"],
    advantage: Float[Tensor, "*shape"],
    prior_coef: float,
    beta: float,
    weight_max: float,
) -> Float[Tensor, "*shape"]:
    """``min((prior / policy)^prior_coef exp(A / beta), weight_max)``, the weight of a response that the policy wrote.

    Limits: A = 0 and prior = policy give 1; prior_coef = 0 has the policy for its only anchor; beta -> infinity leaves
    the prior's factor. Without gradient.

    Args:
        log_prior_ratio: log prior - log policy, in nats per response.
        advantage: A, in units of ``beta``.
        prior_coef: share of the KL penalty that is towards the prior; the rest is towards the sampling policy.
        beta: strength of the whole penalty, in units of A.
        weight_max: largest weight.

    Ref: DAR (arXiv 2602.11523), the weight of its regression loss.
    """
    log_weight = prior_coef * log_prior_ratio + advantage / beta
    # An overflow to infinity is cut too; a cut of the logarithm would round beside weight_max.
    return log_weight.exp().clamp(max=weight_max).detach()


def boltzmann_weight(
    reward: Float[Tensor, "*shape n"], beta: float, log_prior: Float[Tensor, "*shape n"] | None = None
) -> Float[Tensor, "*shape n"]:
    """``prior_i exp(R_i / beta) / sum_j prior_j exp(R_j / beta)`` over the last axis; the sum is 1.

    Limits: equal rewards give the prior, or 1 / n without one; beta -> 0 takes the best, beta -> infinity the prior.
    Without gradient.

    Args:
        reward: R.
        beta: in units of R.
        log_prior: in nats, any constant added; None for a flat prior, as where the answers are samples of it.

    Ref: VAR (arXiv 2502.11026); the closed form is that of DPO (arXiv 2305.18290), equation 4.
    """
    logits = reward / beta if log_prior is None else reward / beta + log_prior
    return torch.softmax(logits, dim=-1).detach()


def gamma_weight(log_ratio: Float[Tensor, "*shape"], power: float, decay: float) -> Float[Tensor, "*shape"]:
    """``phi(W) = W^power exp(decay (1 - W))``, W = exp(log ratio): an importance weight that falls to 0 on both sides.

    Limits: phi(1) = 1; the greatest value is at W = power / decay; W -> 0 and W -> infinity give 0. Without gradient.

    Args:
        log_ratio: log W, in nats per response; at most 88, where W overflows float32 and phi is 0 anyway.
        power: how fast phi rises from 0.
        decay: how fast it falls where W is large, per unit of W.

    Ref: VESPO (arXiv 2602.10693); the authors' code FloyedShen/VESPO.
    """
    return (power * log_ratio + decay * (1 - log_ratio.exp())).exp().detach()
