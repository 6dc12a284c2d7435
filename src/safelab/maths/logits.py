"""LCO: the KL-regularised optimum of a token's distribution, and losses towards it that are convex in the logits.

    pi*(v) = pi_old(v) exp(A(v) / beta) / Z,    z* = z_old + A / beta
    mse: mean_v (z - z*)^2    lch: sum_v log cosh(z - z*)    kld: sum_v pi* log(pi* / pi)

Logits have a free additive constant, which mse and lch would pull too: both take log-probabilities, normalised.
Ref: LCO, arXiv 2603.00963, from public notes; beta, mean or sum over the vocabulary, and the constant are not verified.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.maths.wide import wide

Distance = Literal["mse", "lch", "kld"]


def optimal_logp(
    logp_old: Float[Tensor, "*n vocab"], ids: Int[Tensor, "*n"], advantage: Float[Tensor, "*n"], beta: float
) -> Float[Tensor, "*n vocab"]:
    """``log pi*`` where only the sampled token has an advantage, A, and all others 0."""
    shift = torch.zeros_like(logp_old).scatter(-1, ids.unsqueeze(-1), (advantage / beta).unsqueeze(-1))
    return torch.log_softmax(logp_old + shift, dim=-1)


def dense_optimal_logp(
    logp_old: Float[Tensor, "*n k"], judged: Float[Tensor, "*n k"], beta: float
) -> Float[Tensor, "*n k"]:
    """``log pi*`` over k tokens with an advantage each: what a judge thinks of them, in deviations from its mean.

        A(v) = (judged(v) - mean) / deviation,    pi*(v) ~ pi_old(v) exp(A(v) / beta);    the deviation is unbiased

    Limits: a judge that finds all alike leaves pi_old, normalised over the k; so does beta -> infinity.

    Args:
        logp_old: of these tokens before the update.
        judged: the judge's log-probability of each, any constant added.
        beta: strength of the pull to the old policy, in deviations.
    """
    seen = wide(judged)  # in float32 the mean of equal numbers is often not that number
    spread = seen.std(dim=-1, keepdim=True) if seen.shape[-1] > 1 else torch.zeros_like(seen)
    advantage = torch.where(spread > 0, (seen - seen.mean(dim=-1, keepdim=True)) / spread, 0.0)
    return torch.log_softmax(logp_old + (advantage / beta).to(logp_old), dim=-1)


def logits_distance(
    z: Float[Tensor, "*n vocab"], target: Float[Tensor, "*n vocab"], kind: Distance
) -> Float[Tensor, "*n"]:
    """Distance of logits ``z`` from ``target`` (without gradient), of each token."""
    if kind == "kld":
        goal = torch.log_softmax(target, dim=-1)
        return (goal.exp() * (goal - torch.log_softmax(z, dim=-1))).sum(dim=-1)
    gap = z - target
    if kind == "mse":
        return gap.square().mean(dim=-1)
    # log cosh x = |x| + log(1 + exp(-2 |x|)) - log 2, which does not overflow.
    return (gap.abs() + torch.nn.functional.softplus(-2 * gap.abs()) - math.log(2)).sum(dim=-1)
