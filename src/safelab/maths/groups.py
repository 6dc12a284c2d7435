"""Responses to the same prompt compared with each other. A group is an explicit id per response, not a shape.

A group of one has no baseline: its mean counts as 0 and its deviation as 1, as in verl. A group of equal rewards has
advantage 0, not NaN. Sums are taken in float64 and rounded once, to the type that they came in.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from safelab.maths.wide import wide


@dataclass(frozen=True, slots=True)
class Groups:
    """``index_seq``: a number of each response's group, less than there are rows. ``size_seq``: how many it has."""

    index_seq: Int[Tensor, "b"]
    size_seq: Int[Tensor, "b"]


def groups(group_seq: Int[Tensor, "b"]) -> Groups:
    """The groups that equal ids make."""
    # A group's number is the place where it begins in order: how many groups there are need not be known for that,
    # and ``torch.unique`` would have to ask the device.
    ordered = group_seq.sort().values
    index_seq = torch.searchsorted(ordered, group_seq)
    return Groups(index_seq=index_seq, size_seq=torch.searchsorted(ordered, group_seq, right=True) - index_seq)


def places(group_seq: Int[Tensor, "b"]) -> Int[Tensor, "b"]:
    """Each response's place within its group, from 0."""
    index_seq = groups(group_seq).index_seq
    order = torch.argsort(index_seq, stable=True)
    counted = torch.arange(len(order), device=order.device)
    return torch.empty_like(order).index_put((order,), counted - index_seq[order])


def group_sum(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Sum over each response's group, at each response."""
    return _wide_sum(wide(x_seq), group_seq).to(x_seq)


def group_mean(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Mean over each response's group; the response itself in a group of one."""
    return _wide_mean(wide(x_seq), group_seq).to(x_seq)


def less_group_mean(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``x_i - mean of its group``; a group of one keeps x, whose mean would be x itself."""
    alone = groups(group_seq).size_seq == 1
    return torch.where(alone, x_seq, _centred(x_seq, group_seq).to(x_seq))


def group_deviation(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``sqrt(sum (x - mean)^2 / (n - 1))`` over each response's group; 1 for a group of one."""
    size_seq = groups(group_seq).size_seq
    squares = _wide_sum(_centred(x_seq, group_seq).square(), group_seq)
    deviation_seq = (squares / (size_seq - 1).clamp(min=1).to(squares.device)).sqrt().to(x_seq)
    return torch.where(size_seq > 1, deviation_seq, torch.ones_like(x_seq))


def leave_one_out(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``x_i - mean of the others of its group`` = n / (n - 1) (x_i - mean); a group of one keeps x.

    Ref: Ahmadian et al. 2024 (RLOO), arXiv 2402.14740, eq. 7.
    """
    size_seq = groups(group_seq).size_seq
    centred = _centred(x_seq, group_seq)
    others_seq = (size_seq - 1).clamp(min=1)
    return torch.where(
        size_seq > 1, ((size_seq.to(centred.device) / others_seq.to(centred.device)) * centred).to(x_seq), x_seq
    )


def group_max(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Greatest of each response's group, at each response."""
    index_seq = groups(group_seq).index_seq
    return torch.full_like(x_seq, -torch.inf).scatter_reduce(0, index_seq, x_seq, "amax")[index_seq]


def first_greatest(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Bool[Tensor, "b"]:
    """True at the response of each group that has its greatest number; of several the first."""
    index_seq, count = groups(group_seq).index_seq, len(x_seq)
    place_seq = torch.arange(count, device=index_seq.device)
    candidate_seq = torch.where(x_seq == group_max(x_seq, group_seq), place_seq, count)
    first_seq = torch.full_like(place_seq, count).scatter_reduce(0, index_seq, candidate_seq, "amin")
    return first_seq[index_seq] == place_seq


def group_softmax(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``exp(x_i) / sum over the group of exp(x)``."""
    weight_seq = torch.exp(x_seq - group_max(x_seq, group_seq))
    return weight_seq / group_sum(weight_seq, group_seq)


def _centred(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float64[Tensor, "b"]:
    """``x_i - mean of its group`` in float64."""
    wide_seq = wide(x_seq)
    return wide_seq - _wide_mean(wide_seq, group_seq)


def _wide_sum(wide_seq: Float64[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float64[Tensor, "b"]:
    index_seq = groups(group_seq.to(wide_seq.device)).index_seq
    return torch.zeros_like(wide_seq).index_add(0, index_seq, wide_seq)[index_seq]


def _wide_mean(wide_seq: Float64[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float64[Tensor, "b"]:
    """The group's mean, between the least and the greatest of its group.

    Rounded, a mean of equal numbers can lie beside them, and a deviation that small divides the difference up to one.
    """
    group_seq = group_seq.to(wide_seq.device)
    mean_seq = _wide_sum(wide_seq, group_seq) / groups(group_seq).size_seq
    return torch.minimum(torch.maximum(mean_seq, -group_max(-wide_seq, group_seq)), group_max(wide_seq, group_seq))
