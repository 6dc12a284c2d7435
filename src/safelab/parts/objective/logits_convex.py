"""LCO: regress each token's distribution to its KL-regularised optimum, by a loss that is convex in the logits.

    pi*(v) = pi_old(v) exp(A [v is the sampled token] / beta) / Z,    loss_t = distance(pi, pi*)
    beta is ``loss_beta_factor`` times larger where A <= 0 (1: the paper; 100: its first author's code)

See ``maths.logits``; ``logits_convex_sampled`` is that code's mse and log-cosh.

At policy = old the gradient of ``kld`` in the logits is pi - pi*: to first order in A / beta that is REINFORCE's,
-A grad log p / beta, times the sampled token's own probability, so that rare tokens move little.
Ref: arXiv 2603.00963, from public notes; github homzer/llama-rlhf, by its first author as it seems.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator

from safelab.contracts import Need, StatelessObjective
from safelab.maths.logits import Distance, logits_distance, optimal_logp
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class LogitsConvex(StatelessObjective):
    """``beta``: in units of the advantage. ``loss_beta_factor``: where A <= 0. ``distance``: see ``maths.logits``.

    The target starts from the policy before the update, whatever sampled: ``anchor`` must be ``old``.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"old_logp", "full_logits"})

    distance: Distance
    beta: Annotated[float, Field(gt=0)]
    loss_beta_factor: Annotated[float, Field(ge=1)]

    @model_validator(mode="after")
    def _starts_from_old(self) -> "LogitsConvex":
        if self.anchor != "old":
            raise ValueError(f"must have anchor=old, got {self.anchor}: whole distributions are kept of no other")
        return self

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        assert current.logp_vocab is not None
        assert batch.logp_vocab_old is not None
        advantage_tok = batch.advantage_tok
        scaled_tok = torch.where(advantage_tok > 0, advantage_tok, advantage_tok / self.loss_beta_factor)
        target = optimal_logp(batch.logp_vocab_old, batch.ids, scaled_tok, self.beta)
        goal_tok = target.gather(-1, batch.ids.unsqueeze(-1)).squeeze(-1)
        return PolicyLoss(
            loss_tok=logits_distance(current.logp_vocab, target, self.distance),
            metrics_tok={"target_ratio": (goal_tok - batch.logp_old_tok).exp()},
        )
