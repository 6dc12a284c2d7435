"""Losses on preference pairs, pair by pair, from log-probabilities of whole answers; and how often a margin is right.

``log_ratio = log pi(y | x) - log pi_ref(y | x)``, summed over the answer's tokens, in nats. A pair's *margin* is the
chosen answer's number minus the rejected one's. Each loss trusts that its policy is the optimum of some regularised
reward, and so knows the reward that the policy implies, up to a constant of the prompt.

| | implied reward | loss |
|---|---|---|
| DPO | beta log_ratio | ``logistic_loss`` of its margin |
| chiPO | beta (exp(log_ratio) + log_ratio) | ``logistic_loss`` of its clipped margin |
| IPO | beta log_ratio | ``squared_loss``: the margin is to be 1/2, not as large as can be |
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.wide import wide


def margin(x: Float[Tensor, "b a"]) -> Float[Tensor, "b"]:
    """The chosen answer's number minus the rejected one's; the axis ``a`` has the chosen one first."""
    return x[:, 0] - x[:, 1]


def margin_of_halves(x: Float[Tensor, "b2"]) -> Float[Tensor, "b"]:
    """The same where one pass has read all chosen answers first, then all rejected ones."""
    chosen, rejected = x.chunk(2)
    margins: Tensor = chosen - rejected
    return margins


def accuracy(x_margin: Float[Tensor, "b"]) -> float:
    """Share of the pairs whose chosen answer has the higher number; a tie counts half, as a coin would decide it."""
    return float(wide(torch.heaviside(x_margin, x_margin.new_tensor(0.5))).mean())


def logistic_loss(reward_margin: Float[Tensor, "b"], label_smoothing: float) -> Float[Tensor, "b"]:
    """``-(1 - e) log sigmoid(m) - e log sigmoid(-m)``.

    Limits: m = 0 gives log 2; e = 0 is DPO's loss, whose gradient never ends; with e > 0 the least is at
    ``sigmoid(m) = 1 - e``, so that a label is trusted only so far.

    Args:
        reward_margin: m, of the implied reward.
        label_smoothing: e, the share of labels that are thought to be wrong, below 1/2.

    Ref: Rafailov et al. 2023 (DPO, arXiv 2305.18290), equation 7; e: conservative DPO, of its authors' code.
    """
    agreed = functional.logsigmoid(reward_margin)
    if label_smoothing == 0.0:
        return -agreed
    return -(1.0 - label_smoothing) * agreed - label_smoothing * functional.logsigmoid(-reward_margin)


def squared_loss(log_ratio_margin: Float[Tensor, "b"], beta: float) -> Float[Tensor, "b"]:
    """``(h - 1 / (2 beta))^2``, h the margin of the log-ratio: least where ``beta h = 1/2``.

    Limit: h = 0 gives ``1 / (4 beta^2)``.

    Ref: Azar et al. 2023 (IPO, arXiv 2310.12036), equation 17, with tau = beta.
    """
    return (log_ratio_margin - 1.0 / (2.0 * beta)).square()


def chi_link(log_ratio: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``phi(z) = z + log z``, z = pi / pi_ref: the link of a chi-squared penalty and a KL penalty together.

    In the exponential log z is cut to +-20 nats, beyond which z has no gradient (its logarithm keeps one).
    Limits: z = 1 gives 1; z -> 0 is log z, DPO's link; for large z it grows like z, so that probability that leaves
    the data is dear.

    Ref: Huang et al. 2024 (chiPO, arXiv 2407.13399), its link function.
    """
    return clamp_log_ratio(log_ratio).exp() + log_ratio


def clip_margin(reward_margin: Float[Tensor, "b"], reward_max: float) -> Float[Tensor, "b"]:
    """``clip(m, -2 R_max, 2 R_max)``: two rewards in [-R_max, R_max] differ by no more. No gradient outside."""
    return reward_margin.clamp(-2.0 * reward_max, 2.0 * reward_max)


def margin_is_clipped(reward_margin: Float[Tensor, "b"], reward_max: float) -> Bool[Tensor, "b"]:
    """Where ``clip_margin`` stops the gradient."""
    return reward_margin.abs() > 2.0 * reward_max


def effective_share(weight: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """``(sum w)^2 / (n sum w^2)``: the share of the n answers that the weights leave in effect, 1 / n to 1.

    Ref: Kish 1965, effective sample size.
    """
    return weight.sum().square() / (weight.numel() * weight.square().sum())


def sequence_logp(logp_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b"]:
    """Log-probability of each whole answer: the sum over its tokens, in nats."""
    return torch.where(mask, logp_tok, torch.zeros_like(logp_tok)).sum(dim=1)
