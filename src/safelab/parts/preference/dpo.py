"""Direct preference optimisation, and its conservative form.

    loss = -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h),   h = margin of log pi - log pi_ref

Ref: Rafailov et al. 2023, arXiv 2305.18290, equation 7; ``label_smoothing`` e: the authors' code.
"""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Context
from safelab.maths.preference import logistic_loss, margin
from safelab.options import Options as BaseOptions
from safelab.types import PairBatch


class Options(BaseOptions):
    """``beta``: units of reward per nat of log-ratio. ``label_smoothing``: share of labels thought to be wrong."""

    name: str
    beta: Annotated[float, Field(gt=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]


def build(options: Options, context: Context) -> "Dpo":
    """The loss; it holds no state."""
    return Dpo(options)


class Dpo:
    """``contracts.Preference``."""

    needs_reward = False

    def __init__(self, options: Options) -> None:
        self._beta = options.beta
        self._smoothing = options.label_smoothing

    def weigh(self, batch: PairBatch) -> None:
        """No weights."""
        return

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """The logistic loss of the implied reward's margin."""
        return logistic_loss(margin(self.implied_reward(logp - batch.logp_ref)), self._smoothing)

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """``beta log_ratio``: equation 5, without the prompt's constant."""
        return self._beta * log_ratio

    def clipped_pair(self, log_ratio: Float[Tensor, "b a"]) -> Bool[Tensor, "b"]:
        """No pair: the gradient shrinks with the margin, and does not stop."""
        return torch.zeros_like(log_ratio[:, 0], dtype=torch.bool)
