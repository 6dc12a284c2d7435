"""Existing preference pairs under a norm that has changed: what becomes of each, and what it weighs.

| bucket | the new norm says | loss |
|---|---|---|
| ``RETAIN`` | neither of these | none; the policy is held to its reference there |
| ``INVERT`` | the rejected answer is now the better one | ``inverted_loss`` |
| ``PUNISH`` | both answers are bad | ``punished_loss`` |

``log_ratio = log pi(y | x) - log pi_ref(y | x)`` in nats, axis ``a``: the answer chosen under the old norm, then the
rejected one.
Ref: TRACE, arXiv 2511.02623, and its authors' code, both from notes.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from safelab.maths.preference import logistic_loss, margin

RETAIN, INVERT, PUNISH = 0, 1, 2


def bucket_of(score: Float[Tensor, "n a"], invert_margin: float, punish_below: float) -> Int[Tensor, "n"]:
    """The bucket of each pair by the scores of its answers under the new norm.

    Two bad answers are punished whichever is the better one: no policy is to be drawn to the less bad.

    Args:
        score: of both answers.
        invert_margin: the rejected answer is better where its score is above the chosen one's by more than this.
        punish_below: an answer is bad where its score is below this.
    """
    bucket = torch.where(-margin(score) > invert_margin, INVERT, RETAIN)
    return torch.where(score.amax(dim=1) < punish_below, PUNISH, bucket)


def inverted_loss(log_ratio: Float[Tensor, "b a"], beta: float) -> Float[Tensor, "b"]:
    """``-log sigmoid(beta [rho(rejected) - rho(chosen)])``: DPO's loss with the answers exchanged."""
    return logistic_loss(-beta * margin(log_ratio), 0.0)


def punished_loss(log_ratio: Float[Tensor, "b a"], beta: float) -> Float[Tensor, "b"]:
    """``sum over both answers of -log sigmoid(-beta rho(y))``: each loses probability, less the more it has lost.

    Limit: rho = 0 gives 2 log 2. Ref: Zhang et al. 2024 (NPO, arXiv 2404.05868), whose factor 2 / beta is not there.
    """
    return -functional.logsigmoid(-beta * log_ratio).sum(dim=1)


def impact_weights(alignment: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """``max(0, a_i) / sum_j max(0, a_j)``: what each conflicting pair weighs; their sum is 1.

    The code's ``gamma``, by which every ``a_i`` is divided first, cancels here.

    Args:
        alignment: ``<g_i, g_gold>``, of the pair's gradient with the gold set's mean gradient. One at least is above 0.
    """
    positive = alignment.clamp(min=0)
    return positive / positive.sum()


def agreement(bucket: Sequence[int], oracle: Sequence[int], of: int | None = None) -> float | None:
    """Share of the pairs in bucket ``of`` (None: of all) that the oracle puts there too; None where there is none."""
    pairs = [(own, told) for own, told in zip(bucket, oracle, strict=True) if of is None or own == of]
    return sum(own == told for own, told in pairs) / len(pairs) if pairs else None
