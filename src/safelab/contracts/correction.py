"""``correction``: what the loss of a token counts where the sampler is not the policy before the update."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts.part import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """``weight_tok``: multiplies the policy's loss of a token. ``corrected_tok``: where a bound has changed the ratio.

    What stands on padding has no influence.
    """

    weight_tok: Float[Tensor, "b t"]
    corrected_tok: Bool[Tensor, "b t"]


class Correction(Part, ABC):
    """``correction``: importance weights p_old / p_rollout, bounded, for an objective whose own ratio is to *old*.

    They make a mean over the sampler's tokens one over those of the policy before the update. Only the objective's
    loss is weighted: the critic, the KL route and the entropy are not.
    """

    @abstractmethod
    def weigh(self, log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Weights | None:
        """The weights of a rollout's tokens; None leaves the loss as it is.

        Args:
            log_ratio_tok: log p_old - log p_rollout of each token, without gradient.
            mask: True for response tokens.
        """
