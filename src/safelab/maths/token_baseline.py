"""The baseline of each place in a group of responses that takes most variance out of REINFORCE's gradient."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.maths.groups import groups
from safelab.maths.masked import only
from safelab.maths.wide import wide

Tail = Literal["zero", "own", "last_shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBaseline:
    """``baseline_tok``: B. ``weight_tok``: W. ``tail_tok``: where no other response of the group has a token."""

    baseline_tok: Float[Tensor, "b t"]
    weight_tok: Float[Tensor, "b t"]
    tail_tok: Bool[Tensor, "b t"]


def token_baseline(
    to_go_tok: Float[Tensor, "b t"],
    logit_gradient_tok: Float[Tensor, "b t"],
    mask: Bool[Tensor, "b t"],
    group_seq: Int[Tensor, "b"],
    *,
    eps: float,
    tail: Tail,
) -> TokenBaseline:
    """``B_t = sum_i G_it W_it / (sum_i W_it + eps)`` over a group's responses that have a token t, the own included.

        W_it = sum_{j<=t} w_ij,   w = |d log p / d logits|^2

    It minimises sum_i W_it (G_it - B_t)^2. Limits: equal W give the mean of G; a group of one has B = 0.

    Args:
        to_go_tok: G, the reward from each token on.
        logit_gradient_tok: w.
        mask: True for response tokens, which are padded on the right.
        group_seq: equal for the responses to one prompt.
        eps: of verl, in units of W.
        tail: B where one response of several is left: 0, its own G (so that A = 0), or that of the last place where
            there were two.

    Ref: Li et al. 2026, "The Optimal Token Baseline", arXiv 2602.07078; verl ``optimal_token_baseline``.
    """
    weight_tok = wide(only(logit_gradient_tok, mask)).cumsum(dim=1)
    kept = mask.to(weight_tok.device)
    weight_tok = only(weight_tok, kept)
    own = groups(group_seq.to(weight_tok.device))
    alive_tok = _group_sum(kept.to(weight_tok), own.index_seq)
    weighted_tok = _group_sum(weight_tok * only(wide(to_go_tok), kept), own.index_seq)
    baseline_tok = weighted_tok / (_group_sum(weight_tok, own.index_seq) + eps)
    alone_tok = alive_tok < 2
    if tail == "zero":
        baseline_tok = only(baseline_tok, ~alone_tok)
    elif tail == "last_shared":
        last = ((~alone_tok).sum(dim=1, keepdim=True) - 1).clamp(min=0)
        baseline_tok = torch.where(alone_tok, baseline_tok.gather(1, last), baseline_tok)
    baseline_tok = only(baseline_tok, kept & (own.size_seq > 1).unsqueeze(1))
    return TokenBaseline(
        baseline_tok=baseline_tok.to(to_go_tok), weight_tok=weight_tok.to(to_go_tok), tail_tok=alone_tok.to(mask) & mask
    )


def _group_sum(x_tok: Tensor, index_seq: Tensor) -> Tensor:
    """Sum over each response's group, place by place."""
    return torch.zeros_like(x_tok).index_add(0, index_seq, x_tok)[index_seq]
