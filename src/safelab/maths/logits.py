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

Distance = Literal["mse", "lch", "kld"]


def optimal_logp(
    logp_old: Float[Tensor, "*n vocab"], ids: Int[Tensor, "*n"], advantage: Float[Tensor, "*n"], beta: float
) -> Float[Tensor, "*n vocab"]:
    """``log pi*`` where only the sampled token has an advantage, A, and all others 0."""
    shift = torch.zeros_like(logp_old).scatter(-1, ids.unsqueeze(-1), (advantage / beta).unsqueeze(-1))
    return torch.log_softmax(logp_old + shift, dim=-1)


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
