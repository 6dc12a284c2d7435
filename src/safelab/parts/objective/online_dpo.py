"""Online DPO: the best and the worst of each prompt's own responses as a preference pair.

    w, l = argmax, argmin of A_i,    h = (log pi - log pi_ref)(y_w) - (log pi - log pi_ref)(y_l),    of whole responses
    logistic: -log sigmoid(beta h)        squared: (h - 1 / (2 beta))^2,    mean over prompts

Every response bears its prompt's loss, of which ``aggregation=sequence_mean`` makes the mean over prompts; it refuses
another. Responses of equal score are no pair: such a prompt has loss 0. ``anchor`` is not read.
Ref: Noukhovitch et al. 2024, arXiv 2410.18252; authors' code mnoukhov/async_rlhf, ``online_dpo_single_vllm_trainer``;
the losses: Rafailov et al. 2023 (DPO), arXiv 2305.18290, eq. 7; Azar et al. 2023 (IPO), arXiv 2310.12036, eq. 17.
"""

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from safelab.contracts import Need, StatelessObjective
from safelab.maths.choice import choice, of_one
from safelab.maths.preference import logistic_loss, sequence_logp, squared_loss
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class OnlineDpo(StatelessObjective):
    """``beta``: units of reward per nat of log-ratio. ``distance``: DPO's ``logistic`` loss or IPO's ``squared`` one.

    The advantage's order says which response is best.
    """

    needs: ClassVar[frozenset[Need]] = frozenset(
        {"groups", "groups_together", "sequence_mean", "sequence_advantage", "reference"}
    )
    own_loss: ClassVar[bool] = False  # its prompt's responses share one loss
    pushes_down: ClassVar[bool] = False

    beta: Annotated[float, Field(gt=0)]
    distance: Literal["logistic", "squared"]

    @model_validator(mode="after")
    def _takes_no_ratio(self) -> "OnlineDpo":
        if self.anchor != "rollout":
            raise ValueError(f"must have anchor=rollout, got {self.anchor}: no ratio is taken, so nothing is corrected")
        return self

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token: its prompt's."""
        made, group_seq = choice(batch.advantage_seq, batch.group_seq), batch.group_seq
        logp_seq = sequence_logp(current.logp_tok, batch.mask)
        log_ratio_seq = logp_seq - sequence_logp(batch.logp_ref_tok, batch.mask)
        margin_seq = of_one(log_ratio_seq, made.chosen_seq, group_seq)
        margin_seq = margin_seq - of_one(log_ratio_seq, made.rejected_seq, group_seq)
        loss_seq = torch.where(made.tied_seq, torch.zeros_like(margin_seq), self.distance_seq(margin_seq))
        return PolicyLoss(
            loss_tok=loss_seq.unsqueeze(1).expand_as(current.logp_tok),
            metrics_seq={
                "score_margin": made.margin_seq,
                "ties": made.tied_seq.float(),
                "chosen_logp": of_one(logp_seq, made.chosen_seq, group_seq).detach(),
                "implied_margin": self.beta * margin_seq.detach(),
                "accuracy": (margin_seq.detach() > 0).float(),
            },
        )

    def distance_seq(self, margin_seq: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        """The loss of each prompt's pair, from the margin of its log-ratios."""
        if self.distance == "squared":
            return squared_loss(margin_seq, self.beta)
        return logistic_loss(self.beta * margin_seq, 0.0)
