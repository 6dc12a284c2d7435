"""What methods make of the ratio pi / pi_anchor before they bound it. All in log space; padding has no influence."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.maths.masked import masked_mean, sequence_mean


def prefix_min(
    log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], inclusive: bool = False
) -> Float[Tensor, "b t"]:
    """``min_{s<t} log ratio_s``, 0 at the first token; with ``inclusive`` the token itself takes part.

    Ref: MinPRO, arXiv 2601.22718; the exclusive form with m_1 = 1 is that of its objective, as quoted.
    """
    seen = log_ratio_tok.masked_fill(~mask, math.inf)
    least = torch.cummin(seen, dim=1).values
    if inclusive:
        return least.masked_fill(~mask, 0.0)
    return torch.cat([torch.zeros_like(least[:, :1]), least[:, :-1]], dim=1).masked_fill(~mask, 0.0)


def sequence_log_ratio(log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b"]:
    """Mean log ratio over a response's tokens: the log of GSPO's length-normalised sequence ratio.

    Ref: Zheng et al. 2025 (GSPO), arXiv 2507.18071, eq. 7.
    """
    return sequence_mean(log_ratio_tok, mask)


def covariance_tok(
    advantage_tok: Float[Tensor, "b t"], logp_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]
) -> Float[Tensor, "b t"]:
    """``(A_t - mean A)(log p_t - mean log p)`` over the response tokens of the minibatch: what moves the entropy.

    Ref: Cui et al. 2025, "The entropy mechanism of RL for reasoning language models", arXiv 2505.22617, eq. 10.
    """
    spread_a = advantage_tok - masked_mean(advantage_tok, mask)
    spread_p = logp_tok - masked_mean(logp_tok, mask)
    return torch.where(mask, spread_a * spread_p, torch.zeros_like(spread_a))
