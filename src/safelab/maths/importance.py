"""How likely tokens are under a policy compared with the one that sampled them. All in log space."""

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.masked import masked_sum, sequence_mean

Level = Literal["token", "sequence"]


def importance_ratio(
    log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], level: Level
) -> Float[Tensor, "b t"]:
    """``rho_t = exp(d_t)`` for each token, or ``S = exp(sum_t d_t)``, the whole response's, for all its tokens.

    ``d = log p - log p_sampler``, clamped to +-20 nats (S: the sum). S corrects the state that a token is met in as
    well, and varies more the longer the response is. Padding has 1 in the first form and is not counted in the second.
    """
    counted_tok = log_ratio_tok.masked_fill(~mask, 0.0)
    if level == "sequence":
        counted_tok = counted_tok.sum(dim=1, keepdim=True).expand_as(counted_tok)
    return clamp_log_ratio(counted_tok).exp()


def geometric_ratio(log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b"]:
    """``G = S^(1/T) = exp(mean_t d_t)``, the geometric mean of a response's ratios; the mean is clamped to +-20 nats.

    Unlike S it does not grow with the length T of a response, and unlike S it is no importance weight.
    """
    return clamp_log_ratio(sequence_mean(log_ratio_tok, mask)).exp()


def effective_share(weight_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, ""]:
    """``(sum w)^2 / (n sum w^2)``: effective tokens over tokens, 1 where all weigh alike; weights of 0 count in n.

    Limits: 1 / n where one token has all the weight; 0 where every weight is 0.
    Ref: Kong 1992, "A note on importance sampling using standardized weights".
    """
    total, squares = masked_sum(weight_tok, mask), masked_sum(weight_tok.square(), mask)
    # Both are 0 where every token was dropped; the least float keeps 0 / 0 away and moves nothing else.
    return total.square() / (mask.sum() * squares).clamp(min=1e-30)
