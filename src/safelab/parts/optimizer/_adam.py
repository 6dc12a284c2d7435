"""What the AdamW options share: two rates, two gradient limits, how an update is cut.

AdamW works on each weight by itself, so one optimiser over both and two with equal settings make the same
numbers; what tells "one" from "two" in published code is the rate and the gradient norm limit, which stand here.
Ref: Loshchilov and Hutter 2019, arXiv 1711.05101.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from safelab.contracts import Optimizers
from safelab.options import Options

Positive = Annotated[float, Field(gt=0)]


class AdamOptions(Options):
    """``lr``, ``critic_lr``: step sizes. ``max_grad_norm``: null for no limit.

    ``epochs``: passes over a rollout. ``minibatches``: optimiser steps per pass. ``micro_batch_size``: sequences
    per forward pass, null for the whole minibatch; it changes memory, not numbers. ``target_kl``: of the updated to
    the sampling policy, in nats per response token (k3); the epochs of an update end once a pass is above it.
    """

    name: str
    lr: Positive
    critic_lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    beta1: Annotated[float, Field(ge=0, lt=1)]
    beta2: Annotated[float, Field(ge=0, lt=1)]
    eps: Positive
    max_grad_norm: Positive | None
    critic_max_grad_norm: Positive | None
    epochs: Annotated[int, Field(ge=1)]
    minibatches: Annotated[int, Field(ge=1)]
    micro_batch_size: Annotated[int, Field(ge=1)] | None
    target_kl: Positive | None


class AdamFactory:
    """``contracts.OptimizerFactory``.

    Args:
        options: see there.
        adam: makes the optimiser, from weights and the arguments of AdamW.
    """

    def __init__(self, options: AdamOptions, adam: Callable[..., torch.optim.Optimizer]) -> None:
        self.epochs = options.epochs
        self.minibatches = options.minibatches
        self.micro_batch_size = options.micro_batch_size
        self.target_kl = options.target_kl
        self._options = options
        self._adam = adam

    def make(self, policy: nn.Module, critic: nn.Module) -> Optimizers:
        """Fresh optimisers over the weights that train."""
        return Optimizers(
            policy=self._over(policy, self._options.lr),
            critic=self._over(critic, self._options.critic_lr) if list(critic.parameters()) else None,
            policy_max_grad_norm=self._options.max_grad_norm,
            critic_max_grad_norm=self._options.critic_max_grad_norm,
        )

    def _over(self, module: nn.Module, lr: float) -> torch.optim.Optimizer:
        options = self._options
        weights: Sequence[Any] = [weight for weight in module.parameters() if weight.requires_grad]
        return self._adam(
            weights,
            lr=lr,
            betas=(options.beta1, options.beta2),
            eps=options.eps,
            weight_decay=options.weight_decay,
        )
