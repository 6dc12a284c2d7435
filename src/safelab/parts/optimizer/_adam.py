"""What the AdamW options share: two rates, two gradient limits.

AdamW works on each weight by itself, so one optimiser over both and two with equal settings make the same
numbers; what tells "one" from "two" in published code is the rate and the gradient norm limit, which stand here.
Ref: Loshchilov and Hutter 2019, arXiv 1711.05101.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from safelab.contracts import OptimizerFactory, Optimizers
from safelab.ranks import is_part

Positive = Annotated[float, Field(gt=0)]


class Adam(OptimizerFactory, ABC):
    """``lr``, ``critic_lr``: step sizes. ``max_grad_norm``, ``critic_max_grad_norm``: null for no limit."""

    lr: Positive
    critic_lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    beta1: Annotated[float, Field(ge=0, lt=1)]
    beta2: Annotated[float, Field(ge=0, lt=1)]
    eps: Positive
    max_grad_norm: Positive | None
    critic_max_grad_norm: Positive | None

    @abstractmethod
    def adam(self) -> Callable[..., torch.optim.Optimizer]:
        """Makes the optimiser, from weights and the arguments of AdamW."""

    def make(self, policy: nn.Module, critic: nn.Module) -> Optimizers:
        """Fresh optimisers over the weights that train."""
        return Optimizers(
            policy=self._over(policy, self.lr),
            critic=self._over(critic, self.critic_lr) if list(critic.parameters()) else None,
            policy_max_grad_norm=self.max_grad_norm,
            critic_max_grad_norm=self.critic_max_grad_norm,
        )

    def _over(self, module: nn.Module, lr: float) -> torch.optim.Optimizer:
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        # One call over all of a group takes no mixture of parts and whole weights.
        kinds = [[weight for weight in weights if is_part(weight) is part] for part in (True, False)]
        groups = [{"params": kind} for kind in kinds if kind] if any(map(is_part, weights)) else weights
        betas = self.beta1, self.beta2
        return self.adam()(groups, lr=lr, betas=betas, eps=self.eps, weight_decay=self.weight_decay)
