"""The clipped losses of PPO, for the policy and for the critic, token by token or value by value."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import huber_loss

from safelab.maths.divergence import LOG_RATIO_LIMIT, clamp_log_ratio


def ppo_clip_tok(
    log_ratio: Float[Tensor, "*shape"],
    advantage: Float[Tensor, "*shape"],
    clip_low: float,
    clip_high: float,
    dual_clip: float | None,
) -> Float[Tensor, "*shape"]:
    """``max(-A r, -A clip(r, 1 - low, 1 + high))``, r = exp(log ratio clamped to +-20 nats).

    Limits: at r = 1 the gradient is that of REINFORCE, -A grad logp; A = 0 has none.

    Args:
        log_ratio: logp_policy - logp_old.
        advantage: A, without gradient.
        clip_low: how far r may fall where A < 0.
        clip_high: how far r may rise where A > 0.
        dual_clip: c > 1: where A < 0 the loss is at most -c A; None leaves it unbounded.

    Ref: Schulman et al. 2017 (arXiv 1707.06347), equation 7; dual clip: Ye et al. 2020 (arXiv 1912.09729), equation 5.
    """
    ratio = torch.exp(clamp_log_ratio(log_ratio))
    loss = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - clip_low, 1 + clip_high))
    if dual_clip is None:
        return loss
    return torch.where(advantage < 0, torch.minimum(loss, -advantage * dual_clip), loss)


def ppo_clipped_tok(
    log_ratio: Float[Tensor, "*shape"],
    advantage: Float[Tensor, "*shape"],
    clip_low: float,
    clip_high: float,
    dual_clip: float | None,
) -> Bool[Tensor, "*shape"]:
    """Where a bound of ``ppo_clip_tok`` stops the gradient of a token whose advantage is not 0."""
    ratio = torch.exp(clamp_log_ratio(log_ratio))
    gains, loses = advantage > 0, advantage < 0
    stopped = (gains & (ratio > 1 + clip_high)) | (loses & (ratio < 1 - clip_low))
    if dual_clip is not None:
        stopped = stopped | (loses & (ratio > dual_clip))
    return stopped | beyond_limit_tok(log_ratio, advantage)


def beyond_limit_tok(log_ratio: Float[Tensor, "*shape"], advantage: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
    """Tokens with an advantage whose log ratio is beyond +-20 nats, where its clamp stops their gradient."""
    return (advantage != 0) & (log_ratio.abs() > LOG_RATIO_LIMIT)


def value_loss(
    value: Float[Tensor, "*shape"],
    value_old: Float[Tensor, "*shape"],
    returns: Float[Tensor, "*shape"],
    *,
    kind: Literal["mse", "huber"],
    huber_delta: float,
    clip: Literal["none", "max", "sum"],
    clip_range: float,
) -> Float[Tensor, "*shape"]:
    """Loss of each value against its return R. Both kinds hold the factor 1/2: ``l(e) = e^2 / 2`` for small errors e.

    ``none``: ``l(V - R)``; ``max``: ``max(l(V - R), l(V_clip - R))`` (PPO2, TRL);
    ``sum``: ``(l(V - R) + l(V_clip - R)) / 2`` (SAFE as released: the unclipped term always has gradient, so the
    clip only halves it), with ``V_clip = V_old + clip(V - V_old, -range, range)``.

    Args:
        value: V, with gradient.
        value_old: V when the responses were sampled.
        returns: R.
        kind: ``mse`` or ``huber``.
        huber_delta: error beyond which the Huber loss is linear, in the unit of the return; ``mse`` does not read it.
        clip: which of the three.
        clip_range: in the unit of the return; ``none`` does not read it.
    """
    free = _error_loss(value, returns, kind, huber_delta)
    if clip == "none":
        return free
    value_clip = value_old + (value - value_old).clamp(-clip_range, clip_range)
    bounded = _error_loss(value_clip, returns, kind, huber_delta)
    return torch.maximum(free, bounded) if clip == "max" else 0.5 * (free + bounded)


def _error_loss(value: Tensor, returns: Tensor, kind: str, huber_delta: float) -> Tensor:
    if kind == "mse":
        return 0.5 * (value - returns).square()
    return huber_loss(value, returns, reduction="none", delta=huber_delta)
