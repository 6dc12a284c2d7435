"""LoRA: only low-rank updates of some projections train, and the reference is the same weights with them off.

One copy of the weights serves both, so a policy costs its own memory and little more. The formula and what is not
there: ``pretrained.lora``.
"""

from typing import Any

from safelab.contracts import Adapted
from safelab.parts.policy.adapter._lora import LowRank


class Lora(LowRank):
    """See ``_lora.LowRank``."""

    def adapt(self, module: Any, seed: int) -> Adapted:
        """Freeze ``module`` and put trainable low-rank updates beside its projections; A depends on ``seed`` only.

        Raises:
            ConfigError: a target that the model does not have.
        """
        return self.low_rank(module, seed)
