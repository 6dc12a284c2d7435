"""DPPO: how far the distribution of a token has moved from another one, and which tokens are blocked for it.

    tv: D = sum |p - q| / 2, in probability        kl: D = sum p log(p / q), in nats;   p the anchor's, q the policy's

The sum is over parts of the vocabulary: the sampled token and all others (binary), or the anchor's likeliest tokens,
the sampled one among them, and all others (top K). Merging tokens never raises D. No gradient goes through it.
Ref: arXiv 2602.04879; authors' code sail-sg/Stable-RL.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Kind = Literal["tv", "kl"]

PROBABILITY_FLOOR = 1e-6
"""float32 has no number between 1 - 6e-8 and 1; the authors' 1e-8 would round to it and take the log of 0."""


@torch.no_grad()
def binary_divergence(log_pi: Float[Tensor, "*n"], log_mu: Float[Tensor, "*n"], kind: Kind) -> Float[Tensor, "*n"]:
    """Divergence of two distributions over "this token" and "any other".

    Args:
        log_pi: of the sampled token under the policy.
        log_mu: under the anchor.
        kind: ``tv`` or ``kl``.
    """
    pi, mu = log_pi.exp(), log_mu.exp()
    if kind == "tv":
        return (pi - mu).abs()
    pi, mu = pi.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR), mu.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return mu * (mu.log() - pi.log()) + (1 - mu) * (torch.log1p(-mu) - torch.log1p(-pi))


@torch.no_grad()
def top_k_support(logp_mu: Float[Tensor, "*n vocab"], ids: Int[Tensor, "*n"], k: int) -> Int[Tensor, "*n k"]:
    """The ``k`` likeliest tokens of ``mu``; where the sampled one is not among them, it stands in for the last.

    ``k`` beyond the vocabulary gives all of it. 1 leaves the sampled token alone.
    """
    support = logp_mu.topk(min(k, logp_mu.shape[-1]), dim=-1).indices
    sampled = ids.unsqueeze(-1)
    absent = (support != sampled).all(dim=-1, keepdim=True)
    last = torch.where(absent, sampled, support[..., -1:])
    return torch.cat([support[..., :-1], last], dim=-1)


@torch.no_grad()
def support_divergence(
    logp_pi: Float[Tensor, "*n vocab"], logp_mu: Float[Tensor, "*n vocab"], support: Int[Tensor, "*n k"], kind: Kind
) -> Float[Tensor, "*n"]:
    """Divergence of two distributions over the tokens of ``support`` and one bucket of all others."""
    log_pi, log_mu = logp_pi.gather(-1, support), logp_mu.gather(-1, support)
    pi, mu = log_pi.exp(), log_mu.exp()
    rest_pi, rest_mu = 1 - pi.sum(dim=-1), 1 - mu.sum(dim=-1)
    if kind == "tv":
        return 0.5 * ((pi - mu).abs().sum(dim=-1) + (rest_pi - rest_mu).abs())
    # Rounding may leave less than nothing for the rest.
    rest_pi, rest_mu = rest_pi.clamp(min=PROBABILITY_FLOOR), rest_mu.clamp(min=PROBABILITY_FLOOR)
    return (mu * (log_mu - log_pi)).sum(dim=-1) + rest_mu * (rest_mu.log() - rest_pi.log())


def blocked_tok(
    advantage: Float[Tensor, "*n"],
    log_pi: Float[Tensor, "*n"],
    log_mu: Float[Tensor, "*n"],
    distance: Float[Tensor, "*n"],
    delta_low: float,
    delta_high: float,
) -> Bool[Tensor, "*n"]:
    """``A > 0 and pi > mu and D > high, or A < 0 and pi < mu and D > low``: moves that would lead further away."""
    rises = (advantage > 0) & (log_pi > log_mu) & (distance > delta_high)
    return rises | ((advantage < 0) & (log_pi < log_mu) & (distance > delta_low))
