"""From token rewards and values to advantages and returns. Responses are padded on the right."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def gae(
    rewards_tok: Float[Tensor, "b t"],
    values_tok: Float[Tensor, "b t"],
    mask_tok: Bool[Tensor, "b t"],
    discount: float,
    trace_decay: float,
    bootstrap_values_tok: Float[Tensor, "b t"] | None = None,
) -> tuple[Float[Tensor, "b t"], Float[Tensor, "b t"]]:
    """Generalised advantages: ``d_t = r_t + g V_{t+1} - V_t``, ``A_t = d_t + g l A_{t+1}``, ``R_t = A_t + V_t``.

    Limits: ``l = 0`` gives the one-step error; ``l = 1`` the discounted sum of rewards to go, minus the value.

    Args:
        rewards_tok: reward of each response token.
        values_tok: V_t, the value before token t was written.
        mask_tok: True for response tokens; V after the last of them is 0.
        discount: g, in [0, 1].
        trace_decay: l, in [0, 1].
        bootstrap_values_tok: from which V_{t+1} is read (a Polyak target); None reads ``values_tok``.

    Returns:
        Advantages and returns, 0 where the mask is False.

    Ref: Schulman et al. 2016 (arXiv 1506.02438), equations 11 and 16.
    """
    zero = torch.zeros_like(values_tok)
    rewards, values = torch.where(mask_tok, rewards_tok, zero), torch.where(mask_tok, values_tok, zero)
    bootstrap = values if bootstrap_values_tok is None else torch.where(mask_tok, bootstrap_values_tok, zero)
    next_values = torch.cat([bootstrap[:, 1:], zero[:, :1]], dim=1)
    delta_tok = rewards + discount * next_values - values
    trace, reversed_advantages = zero[:, 0], []
    for delta_seq in reversed(delta_tok.unbind(dim=1)):
        trace = delta_seq + discount * trace_decay * trace
        reversed_advantages.append(trace)
    advantage_tok = torch.stack(reversed_advantages[::-1], dim=1)
    return advantage_tok, advantage_tok + values


def place_at_end(score_seq: Float[Tensor, "b"], mask_tok: Bool[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    """Token rewards: each response's score at its last token, 0 elsewhere. A row without tokens gets none."""
    after = torch.zeros_like(mask_tok)
    after[:, :-1] = mask_tok[:, 1:]
    last_tok = mask_tok & ~after
    return torch.where(last_tok, score_seq[:, None], torch.zeros_like(score_seq)[:, None])
