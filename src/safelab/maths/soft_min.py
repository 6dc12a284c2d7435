"""A smooth minimum over the heads of a critic."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def soft_min(values: Float[Tensor, "*shape h"], temperature: float) -> Float[Tensor, "*shape"]:
    """``-a (logsumexp(-V / a) - log h)`` over the last axis.

    Limits: a -> 0 the minimum, a -> infinity the mean; equal values come back as they are. Between minimum and mean,
    and at most ``a log h`` above the minimum. The gradient in a head is its share of softmax(-V / a).

    Args:
        values: one value per head.
        temperature: a > 0, in the unit of the values.

    Ref: SAFE (arXiv 2602.04651), double soft-min critic.
    """
    heads = values.shape[-1]
    return -temperature * (torch.logsumexp(-values / temperature, dim=-1) - math.log(heads))
