"""What the AdamW options share: two rates, two gradient limits.

AdamW works on each weight by itself, so one optimiser over both and two with equal settings make the same
numbers; what tells "one" from "two" in published code is the rate and the gradient norm limit, which stand here.

    schedule linear:  lr_u = lr (1 - u / updates) in update u = 0, 1, ...: whole at first, 1 / updates of it at last

Ref: Loshchilov and Hutter 2019, arXiv 1711.05101; the schedule: lm-human-preferences; Huang et al. 2024, arXiv
2403.17031. Trainers that rest on transformers' step theirs first: (1 - (u + 1) / updates), with 0 in the last update.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from safelab.contracts import GradientPenalty, OptimizerFactory, Optimizers
from safelab.ranks import is_part

Positive = Annotated[float, Field(gt=0)]


class Adam(OptimizerFactory, ABC):
    """``lr``, ``critic_lr``: step sizes. ``max_grad_norm``, ``critic_max_grad_norm``: null for no limit.

    ``schedule``: of both rates over the run's updates, every epoch and minibatch of one alike. ``gradient_penalty``: of
    the policy's loss.
    """

    lr: Positive
    critic_lr: Positive
    schedule: Literal["constant", "linear"]
    weight_decay: Annotated[float, Field(ge=0)]
    beta1: Annotated[float, Field(ge=0, lt=1)]
    beta2: Annotated[float, Field(ge=0, lt=1)]
    eps: Positive
    max_grad_norm: Positive | None
    critic_max_grad_norm: Positive | None
    gradient_penalty: GradientPenalty

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
            gradient_penalty=self.gradient_penalty if self.gradient_penalty.coef > 0 else None,
        )

    def lr_share(self, update: int, updates: int) -> float | None:
        """1 - update / updates where the schedule is linear."""
        return None if self.schedule == "constant" else 1 - update / updates

    def _over(self, module: nn.Module, lr: float) -> torch.optim.Optimizer:
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        # One call over all of a group takes no mixture of parts and whole weights.
        kinds = [[weight for weight in weights if is_part(weight) is part] for part in (True, False)]
        groups = [{"params": kind} for kind in kinds if kind] if any(map(is_part, weights)) else weights
        betas = self.beta1, self.beta2
        made = self.adam()(groups, lr=lr, betas=betas, eps=self.eps, weight_decay=self.weight_decay)
        if self.schedule != "constant":
            for group in made.param_groups:
                group["initial_lr"] = lr
        return made
