"""``correction``: what the loss of a token counts where its sampler is not the policy that learns from it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts.part import Need, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """``weight_tok``: multiplies the policy's loss of a token. ``corrected_tok``: where a bound has changed the ratio.

    What stands on padding has no influence.
    """

    weight_tok: Float[Tensor, "b t"]
    corrected_tok: Bool[Tensor, "b t"]


class Correction(Part, ABC):
    """``correction``: importance weights p_old / p_rollout, bounded, or responses that are left out.

    Weights make a mean over the sampler's tokens one over those of the policy before the update, for an objective whose
    own ratio is to *old*. Only the objective's loss is weighted or left out: critic, KL route and entropy are not.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"old_anchor", "own_loss"})

    @abstractmethod
    def weigh(self, log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Weights | None:
        """The weights of a rollout's tokens, once an update; None leaves the loss as it is.

        Asked only where another policy sampled than the one before the update.

        Args:
            log_ratio_tok: log p_old - log p_rollout of each token, without gradient.
            mask: True for response tokens.
        """

    def dropped(
        self, log_ratio_tok: Float[Tensor, "b t"], advantage_seq: Float[Tensor, "b"], mask: Bool[Tensor, "b t"]
    ) -> Bool[Tensor, "b"] | None:
        """The responses whose loss is 0, at every minibatch; None, as here, leaves none out.

        Asked on fresh rollouts as well: from the second step on, the policy is not the one that sampled.

        Args:
            log_ratio_tok: log p - log p_rollout of each token by the policy as it is now, without gradient.
            advantage_seq: of each response.
            mask: True for response tokens.
        """
        return None
