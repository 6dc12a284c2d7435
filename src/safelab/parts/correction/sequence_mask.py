"""Bad responses that the policy has already moved away from are left out (DeepSeek-V3.2's off-policy sequence mask).

    M_i = 0  if A_i < 0 and D_i > threshold,  else 1;    D_i = mean_t (log p_rollout - sg log p)

``log p`` is the policy as it is now: M is asked for at every minibatch, so it acts on fresh rollouts too, from the
second step on. The anchor is the sampler, whatever the objective's is, and a response with A = 0 is kept. It is no
importance weight, so that it goes with an objective whose own ratio is to the sampler. D may be negative: it estimates
KL(sampler, policy) by one sample and does not depend on the response's length.
Limits: a threshold at infinity leaves nothing out; at 0 nearly every bad response goes that the last step has moved.
Only bad responses are left out, which tilts what is left towards the good ones: watch the entropy.
Ref: DeepSeek-V3.2, arXiv 2512.02556, eq. 9 (as quoted in code and documentation; the paper names no threshold); TRL.
"""

from typing import Annotated, ClassVar

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Correction, Need, Weights
from safelab.maths.masked import sequence_mean


class SequenceMask(Correction):
    """``threshold``: nats per token."""

    needs: ClassVar[frozenset[Need]] = frozenset({"sequence_advantage", "pushes_down"})

    threshold: Annotated[float, Field(ge=0)]

    def weigh(self, log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Weights | None:
        """None: what is left counts in full."""
        return None

    def dropped(
        self, log_ratio_tok: Float[Tensor, "b t"], advantage_seq: Float[Tensor, "b"], mask: Bool[Tensor, "b t"]
    ) -> Bool[Tensor, "b"] | None:
        """Where A < 0 and D is above the threshold."""
        return (advantage_seq < 0) & (-sequence_mean(log_ratio_tok, mask) > self.threshold)
