"""The full-vocabulary KL in the loss: grad KL(policy, reference) without sampling noise."""

from typing import ClassVar

from torch import Tensor

from safelab.contracts import Route


class LossExact(Route):
    """The exact KL, for which the reference's distribution is computed in each pass."""

    in_loss: ClassVar[bool] = True
    needs_exact: ClassVar[bool] = True

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """The KL over the whole vocabulary."""
        return exact_tok
