"""One token a row from its logits and a number of its own.

    x_i = F_i^-1(u_i),  F_i the cumulative sum of softmax(logits_i / T),  u_i uniform on [0, 1)

The sum is taken in two steps, over blocks and then within the one block that holds the token: a running sum over a
whole vocabulary costs a GPU more than the softmax.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from safelab.maths.wide import device_of_float64

BLOCK = 512
"""Tokens summed at once: about the root of a vocabulary, so that both steps are short."""

BELOW_ONE = 1.0 - 2.0**-53
"""The largest float64 below one: a positive number times it is smaller than the number."""


def uniforms(seeds: Sequence[int], count: int) -> Float64[Tensor, "b t"]:
    """``count`` numbers in [0, 1) for each seed; fewer of them are the first of more."""
    rows = [torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def drawn(
    logits: Float[Tensor, "b vocab"],
    top: Float[Tensor, "b"],
    sampling_temperature: float,
    uniform_seq: Float64[Tensor, "b"],
) -> Int[Tensor, "b"]:
    """The first token whose cumulative probability exceeds the row's number; computed in float64.

    float32 would be too coarse: over 100,000 tokens its cumulative sum is off by more than a rare token's probability.

    Args:
        logits: not divided by the temperature yet.
        top: the largest of each row.
        sampling_temperature: by which both are divided.
        uniform_seq: the rows' numbers.
    """
    rows, vocabulary = logits.shape
    wide = device_of_float64(logits.device)
    size = min(BLOCK, vocabulary)
    blocks = torch.zeros(rows, -(-vocabulary // size), size, dtype=torch.float64, device=wide)
    weights = blocks.view(rows, -1)[:, :vocabulary]
    weights.copy_(logits).sub_(top.to(weights).unsqueeze(1)).div_(sampling_temperature).exp_()
    if vocabulary <= BLOCK:
        sums = weights.cumsum(dim=-1)
        found = torch.searchsorted(sums, (uniform_seq * sums[:, -1]).unsqueeze(1), right=True)
        return found.squeeze(1).clamp(max=vocabulary - 1).to(logits.device)
    sums = blocks.sum(dim=-1).cumsum(dim=-1)
    # Times the sum itself, not one: no division, and the last token with a probability is the last that is found.
    goal = (uniform_seq * sums[:, -1]).unsqueeze(1)
    # Only rows of NaN lie outside; what they give is never used.
    block = torch.searchsorted(sums, goal, right=True).clamp(max=sums.shape[1] - 1)
    inside = blocks.gather(1, block.unsqueeze(-1).expand(-1, -1, BLOCK)).squeeze(1).cumsum(dim=-1)
    before = sums.gather(1, (block - 1).clamp(min=0)).masked_fill(block == 0, 0.0)
    # Rounding may leave the rest of the way a little longer than the block.
    rest = torch.minimum(goal - before, inside[:, -1:] * BELOW_ONE)
    found = block * BLOCK + torch.searchsorted(inside, rest, right=True)
    return found.squeeze(1).clamp(max=vocabulary - 1).to(logits.device)
