"""Best-of-n: supervised learning on the best of each prompt's responses, as the policy goes.

    w = argmax_i A_i of the prompt's responses,    loss = - sum_t log p(y_w,t),    mean over prompts

Every response bears its prompt's loss, of which ``aggregation=sequence_mean`` makes the mean over prompts; it refuses
another. No ratio and no KL: nothing holds the policy near the reference but the number of updates. Responses of equal
score are no choice: such a prompt has loss 0. ``anchor`` is not read.
Ref: Noukhovitch et al. 2024, arXiv 2410.18252; authors' code mnoukhov/async_rlhf, ``src/online_bok_trainer.py``.
"""

from typing import ClassVar

import torch
from pydantic import model_validator

from safelab.contracts import Need, StatelessObjective
from safelab.maths.choice import choice, of_one
from safelab.maths.preference import sequence_logp
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class BestOfN(StatelessObjective):
    """Nothing to choose; n is ``rollout.samples_per_prompt``, and the advantage's order says which response is best."""

    needs: ClassVar[frozenset[Need]] = frozenset({"groups", "groups_together", "sequence_mean", "sequence_advantage"})
    own_loss: ClassVar[bool] = False  # its prompt's responses share one loss
    pushes_down: ClassVar[bool] = False

    @model_validator(mode="after")
    def _takes_no_ratio(self) -> "BestOfN":
        if self.anchor != "rollout":
            raise ValueError(f"must have anchor=rollout, got {self.anchor}: no ratio is taken, so nothing is corrected")
        return self

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token: its prompt's."""
        made = choice(batch.advantage_seq, batch.group_seq)
        chosen_logp_seq = of_one(sequence_logp(current.logp_tok, batch.mask), made.chosen_seq, batch.group_seq)
        loss_seq = torch.where(made.tied_seq, torch.zeros_like(chosen_logp_seq), -chosen_logp_seq)
        return PolicyLoss(
            loss_tok=loss_seq.unsqueeze(1).expand_as(current.logp_tok),
            metrics_seq={
                "score_margin": made.margin_seq,
                "ties": made.tied_seq.float(),
                "chosen_logp": chosen_logp_seq.detach(),
            },
        )
