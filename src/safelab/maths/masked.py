"""Statistics over the positions that count. Whatever stands at the others, NaN included, has no influence.

Means are sum over count, so that padding and the cutting into minibatches do not change them.
An empty mask has no mean: the result is NaN, which the training loop refuses.

Whatever divides by a deviation is computed in float64 and rounded once at the end: in float32 the mean of equal numbers
is often not that number, and a deviation that small divides the difference up to 0.2.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.maths.wide import wide


def masked_sum(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Sum of ``x`` where ``mask`` is True, over all axes."""
    return only(x, mask).sum()


def masked_mean(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean of ``x`` where ``mask`` is True, over all axes: sum over count."""
    return masked_sum(x, mask) / mask.sum()


def masked_std(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """``sqrt(sum (x - mean)^2 / (n - 1))`` over the n positions where ``mask`` is True; n = 1 gives 0."""
    centred, _, mask = _centred(x, mask)
    return _variance(centred, mask).sqrt().to(x)


def masked_whiten(
    x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], eps: float = 1e-8, shift_mean: bool = True
) -> Float[Tensor, "*shape"]:
    """Mean 0 and deviation 1 over the positions that count: ``(x - mean) / sqrt(var + eps)``, var unbiased.

    Limits: one position, or all equal, gives exactly 0. ``shift_mean=False`` adds the mean again afterwards.

    Args:
        x: values.
        mask: True counts; the others come back as 0.
        eps: under the root, in the square of the unit of ``x``.
        shift_mean: False keeps the mean and scales only the deviations from it (TRL's reward whitening).

    Ref: Ziegler et al. 2019 (lm-human-preferences, ``whiten``); TRL ``masked_whiten``.
    """
    centred, mean, mask = _centred(x, mask)
    white = centred * torch.rsqrt(_variance(centred, mask) + eps)
    return only(white if shift_mean else white + mean, mask).to(x)


def sequence_mean(x: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b"]:
    """Mean of each row over its positions that count."""
    return only(x, mask).sum(dim=1) / mask.sum(dim=1)


def only(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``x`` where ``mask`` is True, 0 elsewhere."""
    # A product with the mask would let a NaN or an infinity through.
    return torch.where(mask, x, torch.zeros_like(x))


def _centred(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``x - mean`` where ``mask`` is True (0 elsewhere) and the mean, both in float64, and the mask beside them."""
    wide_x = wide(only(x, mask))
    mask = mask.to(wide_x.device)
    # Rounded, a mean of equal numbers can lie beside them in float64, too: it is put back between least and greatest.
    least, greatest = wide_x.masked_fill(~mask, math.inf).min(), wide_x.masked_fill(~mask, -math.inf).max()
    mean = torch.minimum(torch.maximum(masked_mean(wide_x, mask), least), greatest)
    return only(wide_x - mean, mask), mean, mask


def _variance(centred: Tensor, mask: Tensor) -> Tensor:
    return masked_sum(centred.square(), mask) / (mask.sum() - 1).clamp(min=1)
