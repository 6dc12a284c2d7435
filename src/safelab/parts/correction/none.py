"""No correction: tokens count alike, whoever sampled them."""

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts import Correction, Need, Weights


class NoCorrection(Correction):
    """Nothing to choose."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    def weigh(self, log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Weights | None:
        """None."""
        return None
