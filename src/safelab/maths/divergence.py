"""Kullback-Leibler divergence of the policy from a reference: exact, and estimated on the sampled token. Nats.

``log_ratio = logp_policy - logp_ref`` of tokens that the policy sampled; it may be negative and is no KL.

| estimator | mean under the policy | expected gradient as a loss, on-policy |
|---|---|---|
| ``k1`` | KL | 0: E[grad log p] = 0 |
| ``k2`` | about KL where both are close | grad KL(policy, ref) |
| ``k3`` | KL | grad KL(ref, policy), the other direction |
| ``ratio_k1`` | KL | grad KL(policy, ref), also off-policy |
| ``topk_kl`` | KL | grad KL(policy, ref), also off-policy; sampling noise outside of S only |
| ``exact_kl`` | KL | grad KL(policy, ref), without sampling noise |

All of them are per token: none sees how an earlier token changes which later states are met. A KL in the reward
does, through the returns.

Ref: Schulman, "Approximating KL divergence" (2020); gradients: Tang and Munos, "On a few pitfalls in KL divergence
gradient estimation for RL" (2025).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LOG_RATIO_LIMIT = 20.0  # nats; exp(20) = 4.9e8 is the largest ratio that enters an average (verl, OpenRLHF)


def clamp_log_ratio(x: Float[Tensor, "*shape"], limit: float = LOG_RATIO_LIMIT) -> Float[Tensor, "*shape"]:
    """``x`` cut to +-``limit`` nats, so that ``exp`` stays finite. No gradient outside."""
    return x.clamp(-limit, limit)


def k1(log_ratio: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``d``: unbiased, of either sign. As a loss it has no expected gradient on-policy."""
    return log_ratio


def k2(log_ratio: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``d^2 / 2``: never negative, biased; as a loss its expected gradient is that of KL, E[d grad log p]."""
    return 0.5 * log_ratio.square()


def k3(log_ratio: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``exp(-d) + d - 1``: unbiased, never negative; as a loss its expected gradient is that of KL(ref, policy).

    ``d`` is clamped to +-20 nats first.
    """
    d = clamp_log_ratio(log_ratio)
    # expm1 keeps the digits where d is small, which is where KL is measured at step 0.
    return torch.expm1(-d) + d


def ratio_k1(
    log_ratio_ref: Float[Tensor, "*shape"], log_ratio_sampler: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """``r sg(d)``, r = exp(logp - logp_mu), d = logp - logp_ref: k1 weighted to the present policy.

    On tokens that a policy mu sampled, E_mu[r d] = E_policy[d] = KL, and its gradient is
    E_mu[r (d + 1) grad logp] = E_policy[d grad logp] + E_policy[grad logp] = grad KL + 0.
    The last term is noise of mean zero, so ``d`` carries no gradient here: value r d, gradient r d grad logp.

    Args:
        log_ratio_ref: logp_policy - logp_ref.
        log_ratio_sampler: logp_policy - logp_mu of the policy that sampled; logp_mu without gradient; clamped to
            +-20 nats.
    """
    return torch.exp(clamp_log_ratio(log_ratio_sampler)) * log_ratio_ref.detach()


def topk_kl(
    logp: Float[Tensor, "*shape k"],
    logp_ref: Float[Tensor, "*shape k"],
    inside: Bool[Tensor, "*shape"],
    log_ratio_ref: Float[Tensor, "*shape"],
    log_ratio_sampler: Float[Tensor, "*shape"],
    *,
    released: bool,
) -> Float[Tensor, "*shape"]:
    """``sum_{v in S} p (log p - log q) + 1[a not in S] sg(r) d exp(logp - sg(logp))``: unbiased for any fixed S.

    Its gradient over tokens that mu sampled is ``sum_S grad p (d + 1) + sum_{not S} grad p (d + 1)`` = grad KL.

    Args:
        logp, logp_ref: of the tokens of S under policy and reference.
        inside: whether the sampled token is in S.
        log_ratio_ref: d = logp - logp_ref of the sampled token.
        log_ratio_sampler: log r = logp - logp_mu of it, clamped to +-20 nats.
        released: d has no gradient in the last term, as in EMA-PG's code: what results is grad KL + grad p(S).
    """
    head = (logp.exp() * (logp - logp_ref)).sum(dim=-1)
    weight = torch.exp(clamp_log_ratio(log_ratio_sampler)).detach()
    ratio = torch.exp(log_ratio_ref - log_ratio_ref.detach())  # 1, with the gradient of logp
    tail = weight * (log_ratio_ref.detach() if released else log_ratio_ref) * ratio
    return head + tail.masked_fill(inside, 0.0)


def exact_kl(logp: Float[Tensor, "*shape vocab"], logp_ref: Float[Tensor, "*shape vocab"]) -> Float[Tensor, "*shape"]:
    """``sum_v p (log p - log p_ref)`` over the whole vocabulary. Log-probabilities are finite."""
    return (logp.exp() * (logp - logp_ref)).sum(dim=-1)


def entropy(logp: Float[Tensor, "*shape vocab"]) -> Float[Tensor, "*shape"]:
    """``-sum_v p log p`` over the whole vocabulary: 0 to log(vocabulary). Log-probabilities are finite."""
    return -(logp.exp() * logp).sum(dim=-1)
