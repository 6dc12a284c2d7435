"""Statistics of each position in the response, over the responses that reach it. Positions may share a bucket."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.maths.masked import only
from safelab.maths.wide import wide


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Of each column's bucket: ``mean``, ``deviation`` (unbiased, 0 for one token), ``count`` of tokens.

    ``common``: the deviation over all of them, each from its bucket's mean.
    """

    mean: Float[Tensor, "t"]
    deviation: Float[Tensor, "t"]
    count: Float[Tensor, "t"]
    common: Float[Tensor, ""]


def positions(x_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], bucket: int) -> Positions:
    """Mean and deviation of ``x`` in each run of ``bucket`` columns, in float64 and rounded once; without gradient.

    Args:
        x_tok: what stands on padding has no influence.
        mask: True counts.
        bucket: columns from the first response token on that share one statistic.
    """
    x = wide(only(x_tok.detach(), mask))
    kept = mask.to(x.device)
    place = torch.arange(x.shape[1], device=x.device) // bucket

    def summed(column: Tensor) -> Tensor:
        return torch.zeros_like(column).index_add(0, place, column)[place]

    count = summed(kept.sum(dim=0).to(x))
    mean = summed(x.sum(dim=0)) / count.clamp(min=1)
    squares = only(x - mean, kept).square().sum(dim=0)
    free = (count - 1).clamp(min=1)
    # A bucket of one token is exactly its own mean and adds nothing to either sum.
    spare = (kept.sum() - _buckets(count, place)).clamp(min=1)
    found = {
        "mean": mean,
        "deviation": (summed(squares) / free).sqrt(),
        "count": count,
        "common": (squares.sum() / spare).sqrt(),
    }
    return Positions(**{name: value.to(x_tok) for name, value in found.items()})


def position_weight(mask: Bool[Tensor, "b t"], bucket: int) -> Float[Tensor, "t"]:
    """What a token counts where all buckets share one total weight: mean 1 over the tokens that ``mask`` keeps.

    N / (P n_p),   N tokens in P buckets, n_p of them in the token's own
    """
    place = torch.arange(mask.shape[1], device=mask.device) // bucket
    own = mask.sum(dim=0).float()
    count = torch.zeros_like(own).index_add(0, place, own)[place]
    return own.sum() / (_buckets(count, place) * count.clamp(min=1))


def regulated(x_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], bucket: int, eps: float) -> Float[Tensor, "b t"]:
    """``(x - mean_p) (s + eps) / (s_p + eps)``: mean 0 in each bucket, and one deviation s in all of them.

    s_p is the bucket's deviation, s the common one. Gradient flows through x alone, not through the statistics.
    Limits: equal x give 0; a bucket of one token keeps x, as it has no deviation.

    Args:
        x_tok: log-ratios.
        mask: True counts.
        bucket: columns that share their statistics.
        eps: in the unit of x: a bucket that hardly differs within itself is not blown up.
    """
    found = positions(x_tok, mask, bucket)
    several = found.count > 1
    shift = only(found.mean, several)
    scale = torch.where(several, (found.common + eps) / (found.deviation + eps), torch.ones_like(found.mean))
    return only((x_tok - shift) * scale, mask)


def _buckets(count: Tensor, place: Tensor) -> Tensor:
    """How many buckets hold a token."""
    return torch.zeros_like(count).scatter(0, place, (count > 0).to(count)).sum()
