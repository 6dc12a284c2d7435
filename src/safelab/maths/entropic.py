"""FRPO's robust group objective: the worst expected reward over policies near this one, as an entropic risk.

    A_i = R_i - mean_g R,  w_i = exp(-A_i / lam),  s_i = mean_t min(r_it, clip(r_it, 1 - e, 1 + e))
    u_g = mean_{i in g} w_i s_i,   c = max(lam, 1)
    loss of response i = c (J_g - s_i),   J_g = log u_g, or with the jackknife n log u_g - (n - 1) mean_i log u_{g,-i}

At policy = old its gradient is c (w_i / mean_g w - 1) grad log pi: less likely for low rewards, mean zero in a group.
Limit: lam -> infinity gives -A_i, GRPO without deviation. Ref: arXiv 2602.08813; authors' code Helloworld10011/FRPO.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.maths.groups import group_max, group_mean, group_sum, groups


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
    # The greatest weight of a group is taken out of the logarithms: exp(-A / lam) overflows at small lam.
    log_weight = -advantage_seq / risk
    shift = group_max(log_weight, group_seq)
    part = torch.exp(log_weight - shift) * ratio_seq
    log_u = torch.log(group_mean(part, group_seq)) + shift
    value = log_u
    if jackknife:
        size = groups(group_seq).size_seq
        rest = (group_sum(part, group_seq) - part) / (size - 1).clamp(min=1)
        # The weight that was taken out may be the one left out, so what stays can be tiny: no log of 0.
        log_rest = torch.log(rest.clamp(min=torch.finfo(rest.dtype).tiny)) + shift
        value = torch.where(size > 1, size * log_u - (size - 1) * group_mean(log_rest, group_seq), log_u)
    return max(risk, 1.0) * (value - ratio_seq if offset else value)
