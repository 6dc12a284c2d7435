"""Responses to the same prompt compared with each other. A group is an explicit id per response, not a shape.

A group of one has no baseline: its mean counts as 0 and its deviation as 1, as in verl. A group of equal rewards has
advantage 0, not NaN.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Groups:
    """``index_seq``: which group each response belongs to, from 0. ``size_seq``: how many its group has."""

    index_seq: Int[Tensor, "b"]
    size_seq: Int[Tensor, "b"]
    count: int


def groups(group_seq: Int[Tensor, "b"]) -> Groups:
    """The groups that equal ids make."""
    ids, index_seq, sizes = torch.unique(group_seq, return_inverse=True, return_counts=True)
    return Groups(index_seq=index_seq, size_seq=sizes[index_seq], count=len(ids))


def group_sum(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Sum over each response's group, at each response."""
    found = groups(group_seq)
    totals = torch.zeros(found.count, dtype=x_seq.dtype, device=x_seq.device).index_add(0, found.index_seq, x_seq)
    return totals[found.index_seq]


def group_mean(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Mean over each response's group; the response itself in a group of one."""
    return group_sum(x_seq, group_seq) / groups(group_seq).size_seq


def group_baseline(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """The group's mean, and 0 for a group of one, which would otherwise be its own baseline."""
    mean_seq = _within(group_mean(x_seq, group_seq), x_seq, group_seq)
    return torch.where(groups(group_seq).size_seq > 1, mean_seq, torch.zeros_like(x_seq))


def group_deviation(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``sqrt(sum (x - mean)^2 / (n - 1))`` over each response's group; 1 for a group of one."""
    size_seq = groups(group_seq).size_seq
    mean_seq = _within(group_mean(x_seq, group_seq), x_seq, group_seq)
    squares = group_sum((x_seq - mean_seq).square(), group_seq)
    return torch.where(size_seq > 1, (squares / (size_seq - 1).clamp(min=1)).sqrt(), torch.ones_like(x_seq))


def leave_one_out(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``x_i - mean of the others of its group`` = n / (n - 1) (x_i - mean); a group of one keeps x.

    Ref: Ahmadian et al. 2024 (RLOO), arXiv 2402.14740, eq. 7.
    """
    size_seq = groups(group_seq).size_seq
    others = _within((group_sum(x_seq, group_seq) - x_seq) / (size_seq - 1).clamp(min=1), x_seq, group_seq)
    return torch.where(size_seq > 1, x_seq - others, x_seq)


def group_max(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Greatest of each response's group, at each response."""
    found = groups(group_seq)
    greatest = torch.full((found.count,), -torch.inf, dtype=x_seq.dtype, device=x_seq.device)
    return greatest.scatter_reduce(0, found.index_seq, x_seq, "amax")[found.index_seq]


def group_softmax(x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``exp(x_i) / sum over the group of exp(x)``."""
    weight_seq = torch.exp(x_seq - group_max(x_seq, group_seq))
    return weight_seq / group_sum(weight_seq, group_seq)


def _within(mean_seq: Float[Tensor, "b"], x_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """The mean, put back between the least and the greatest of its group.

    Rounded, a mean of equal numbers can lie beside them, and a deviation that small divides the difference up to one.
    """
    return torch.minimum(torch.maximum(mean_seq, -group_max(-x_seq, group_seq)), group_max(x_seq, group_seq))
