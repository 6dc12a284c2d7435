"""A gradient from values alone: a random direction, votes between two policies, and the link that the votes went by.

    g = (d / mu) mean_j gap_j v,   gap_j = T link^-1(trimmed share_j),   share_j = votes for the perturbed one / votes

``gap`` estimates V(theta + mu v) - V(theta). The factor d is right for every v whose E[v v^T] is I / d: then
E[<grad V, v> v] = grad V / d. Both directions here are such, and have length 1:

    sphere   v uniform on the unit sphere of all d coordinates
    block    v = K^-1/2 sum_k s_k e_{i_k},  K different coordinates, s_k = +-1:  E[v_i^2] = (K / d) (1 / K),  signs
             make E[v_i v_j] = 0

Ref: arXiv 2409.17401 (ZPG and ZBCPG); its constants are not verified here, the factor is.
"""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.types import Link


def preferred(link: Link, margin: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The probability that a voter takes the one whose score is higher by ``margin`` (over the temperature)."""
    return margin.sigmoid() if link == "logistic" else torch.special.ndtr(margin)


def margin_of(link: Link, share: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The inverse of ``preferred``: infinite at shares of 0 and 1, which is why they are trimmed first."""
    return share.logit() if link == "logistic" else torch.special.ndtri(share)


def gap_of(link: Link, share: Float[Tensor, "n"], trim: float, link_temperature: float) -> Float[Tensor, "n"]:
    """T link^-1(share within [trim, 1 - trim]): by how much the one voted for scores higher, in units of the score."""
    return link_temperature * margin_of(link, share.clamp(trim, 1 - trim))


def direction(shapes: Sequence[torch.Size], block_size: int | None, seed: int) -> Iterator[Float[Tensor, "..."]]:
    """A unit vector over all weights, one weight after the other, so that no more than one of them is held.

    Args:
        shapes: of the weights.
        block_size: how many coordinates it has besides zeros; None: all, uniform on the sphere.
        seed: the same one gives the same vector, to the bit.
    """
    return sphere(shapes, seed) if block_size is None else block(shapes, block_size, seed)


def sphere(shapes: Sequence[torch.Size], seed: int) -> Iterator[Float[Tensor, "..."]]:
    """Normal numbers over their norm; they are drawn twice, once for the norm."""
    norm = math.sqrt(sum(float(piece.double().square().sum()) for piece in _normal(shapes, seed)))
    return (piece / norm for piece in _normal(shapes, seed))


def _normal(shapes: Sequence[torch.Size], seed: int) -> Iterator[Float[Tensor, "..."]]:
    drawn = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=drawn) for shape in shapes)


def block(shapes: Sequence[torch.Size], block_size: int, seed: int) -> Iterator[Float[Tensor, "..."]]:
    """+-1 / sqrt(K) at K coordinates, each set of K as likely as any other."""
    ends = [0, *accumulate(shape.numel() for shape in shapes)]
    drawn = random.Random(seed)
    chosen = torch.tensor(drawn.sample(range(ends[-1]), block_size))
    signs = torch.tensor([drawn.choice((-1.0, 1.0)) for _ in range(block_size)])
    for shape, start, end in zip(shapes, ends, ends[1:], strict=False):
        here = (chosen >= start) & (chosen < end)
        yield block_vector(end - start, chosen[here] - start, signs[here], block_size).view(shape)


def block_vector(
    dimension: int, chosen: Int[Tensor, "k"], signs: Float[Tensor, "k"], block_size: int
) -> Float[Tensor, "d"]:
    """K^-1/2 sum_k s_k e_{i_k} over ``dimension`` coordinates; ``block_size``: K of the whole vector."""
    vector = torch.zeros(dimension)
    vector[chosen] = signs / math.sqrt(block_size)
    return vector
