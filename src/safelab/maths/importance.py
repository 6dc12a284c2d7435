"""How likely tokens are under a policy compared with the one that sampled them. All in log space."""

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from safelab.maths.divergence import clamp_log_ratio

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
