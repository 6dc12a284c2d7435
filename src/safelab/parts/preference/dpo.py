"""Direct preference optimisation, and its conservative form.

    loss = -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h),   h = margin of log pi - log pi_ref

Ref: Rafailov et al. 2023, arXiv 2305.18290, equation 7; ``label_smoothing`` e: the authors' code.
"""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Preference
from safelab.maths.preference import logistic_loss, margin
from safelab.types import PairBatch


class Dpo(Preference):
    """``beta``: units of reward per nat of log-ratio. ``label_smoothing``: share of labels thought to be wrong."""

    beta: Annotated[float, Field(gt=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """The logistic loss of the implied reward's margin."""
        return logistic_loss(margin(self.implied_reward(logp - batch.logp_ref)), self.label_smoothing)

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """``beta log_ratio``: equation 5, without the prompt's constant."""
        return self.beta * log_ratio
