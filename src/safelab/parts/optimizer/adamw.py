"""AdamW for the policy and for the critic, each with its own rate and gradient limit; see ``_adam``."""

from collections.abc import Callable
from functools import partial

import torch

from safelab.parts.optimizer._adam import Adam


class AdamW(Adam):
    """See ``_adam.Adam``."""

    def adam(self) -> Callable[..., torch.optim.Optimizer]:
        """Torch's own, all weights in one call."""
        return partial(torch.optim.AdamW, foreach=True)
