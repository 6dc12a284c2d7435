"""LCO's mse and log-cosh as its first author's code has them: the sampled token's own logit is moved, no other.

    target_t = sg(z_t) + A / beta,    mse: (z_t - target)^2    lch: log cosh(z_t - target)

z_t is the head's logit of the sampled token, before any normalisation, and the target starts from its value in this
pass. So the distance is always A / beta, and the gradient in z_t is -2 A / beta, or -tanh(A / beta): no pass comes
nearer to the target, and the other logits stay. It is another method than ``logits_convex`` with the same distance.
Ref: github homzer/llama-rlhf, by the first author of arXiv 2603.00963 as it seems.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from safelab.contracts import Need, StatelessObjective
from safelab.maths.logits import logits_distance
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class LogitsConvexSampled(StatelessObjective):
    """``beta``: in units of the advantage. ``anchor`` must be ``old``, as no ratio is taken to the sampler."""

    needs: ClassVar[frozenset[Need]] = frozenset({"sampled_logit"})

    distance: Literal["mse", "lch"]
    beta: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _reads_no_ratio(self) -> "LogitsConvexSampled":
        if self.anchor != "old":
            raise ValueError(f"must have anchor=old, got {self.anchor}: this loss reads no ratio")
        return self

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        assert current.logit_tok is not None
        target_tok = current.logit_tok.detach() + batch.advantage_tok / self.beta
        # A vocabulary of one: the sampled token's.
        return PolicyLoss(
            loss_tok=logits_distance(current.logit_tok.unsqueeze(-1), target_tok.unsqueeze(-1), self.distance)
        )
