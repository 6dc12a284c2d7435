"""FRPO's robust group objective: the worst expected reward over policies near this one, as an entropic risk.

    A_i = R_i - mean_g R,  w_i = exp(-A_i / lam),  s_i = mean_t min(r_it, clip(r_it, 1 - e, 1 + e))
    u_g = mean_{i in g} w_i s_i,   c = max(lam, 1)
    loss of response i = c (J_g - s_i),   J_g = log u_g, or with the jackknife n log u_g - (n - 1) mean_i log u_{g,-i}

At policy = old its gradient is c (w_i / mean_g w - 1) grad log pi: less likely for low rewards, mean zero in a group.
Limit: lam -> infinity gives -A_i, GRPO without deviation. Ref: arXiv 2602.08813; authors' code Helloworld10011/FRPO.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.maths.groups import group_max, group_mean, groups, places
from safelab.maths.wide import wide


def robust_loss_seq(
    ratio_seq: Float[Tensor, "b"],
    advantage_seq: Float[Tensor, "b"],
    group_seq: Int[Tensor, "b"],
    risk: float,
    jackknife: bool,
    offset: bool = True,
) -> Float[Tensor, "b"]:
    """Loss of each response, with gradient through ``ratio_seq``; the mean over responses is the objective's loss.

    Args:
        ratio_seq: s_i.
        advantage_seq: A_i, without gradient.
        group_seq: the prompt's number of each response; a group of one has no jackknife and uses log u.
        risk: lam > 0, in units of the reward.
        jackknife: corrects the bias of log of a mean.
        offset: subtract s_i; without it the gradient has no baseline.
    """
    # In float64, less the greatest weight of a group: exp(-A / lam) overflows at small lam.
    wide_ratio, log_weight = wide(ratio_seq), -wide(advantage_seq) / risk
    group_seq = group_seq.to(log_weight.device)
    shift = group_max(log_weight, group_seq)
    log_u = torch.log(group_mean(torch.exp(log_weight - shift) * wide_ratio, group_seq)) + shift
    value = log_u
    if jackknife:
        size = groups(group_seq).size_seq
        left_out = group_mean(_log_mean_of_others(wide_ratio, log_weight, group_seq), group_seq)
        value = torch.where(size > 1, size * log_u - (size - 1) * left_out, log_u)
    return (max(risk, 1.0) * (value - wide_ratio if offset else value)).to(ratio_seq)


def _log_mean_of_others(
    ratio_seq: Float[Tensor, "b"], log_weight: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """``log mean_{j != i} w_j s_j`` over the group of each i; 0 in a group of one.

    Each sum is made anew, less the greatest weight of its own: the whole sum less a weight that dominates it is noise.
    """
    found, place = groups(group_seq), places(group_seq)
    rows = (found.index_seq, place)
    size = int(found.size_seq.max())
    weights = log_weight.new_full((len(place), size), -math.inf).index_put(rows, log_weight)
    ratios = ratio_seq.new_zeros(len(place), size).index_put(rows, ratio_seq)
    itself = torch.arange(size, device=place.device) == place.unsqueeze(1)
    table = weights[found.index_seq].masked_fill(itself, -math.inf)
    alone = found.size_seq == 1
    shift = table.amax(dim=1).masked_fill(alone, 0.0)
    mean = (torch.exp(table - shift.unsqueeze(1)) * ratios[found.index_seq]).sum(dim=1) / (found.size_seq - 1).clamp(
        min=1
    )
    return torch.log(torch.where(alone, torch.ones_like(shift), mean)) + shift
