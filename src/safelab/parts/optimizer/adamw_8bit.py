"""AdamW whose two averages are kept in 8 bits, by ``bitsandbytes``: a quarter of their memory in float32.

Each block of 256 values has a scale of its own; small tensors (below 4,096 values, so value heads') stay in 32 bits.
Ref: Dettmers et al. 2022, arXiv 2110.02861.
"""

from collections.abc import Callable

import torch

from safelab.contracts import Context, OptimizerFactory
from safelab.errors import ConfigError
from safelab.parts.optimizer._adam import Adam


class AdamW8bit(Adam):
    """See ``_adam.Adam``."""

    def build(self, context: Context) -> OptimizerFactory:
        """Itself, once the library has been loaded: nothing else is made if that fails.

        Raises:
            ConfigError: ``bitsandbytes`` is not installed, or does not load here.
        """
        self.adam()
        return self

    def adam(self) -> Callable[..., torch.optim.Optimizer]:
        """The library's.

        Raises:
            ConfigError: it does not load.
        """
        try:
            from bitsandbytes.optim import AdamW8bit
        except (ImportError, OSError) as error:  # the latter: its native library does not fit the machine
            raise ConfigError(
                f"optimizer.name must be adamw here, got adamw_8bit: bitsandbytes does not load ({error}); "
                "pip install './safelab[eight_bit]'"
            ) from error
        made: Callable[..., torch.optim.Optimizer] = AdamW8bit
        return made
