"""Zeroth-order policy gradient: plain ascent along a gradient estimated from votes, without a backward pass.

    theta <- theta + lr g,   g = mean over perturbations of (d / mu) mean_j gap_j v

``maths.zeroth_order`` has the estimate, ``training.zeroth`` the update. Ref: arXiv 2409.17401 (ZPG; with
``block_size`` ZBCPG).
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from safelab.contracts import Optimizers, Perturbing
from safelab.errors import ConfigError


class ZerothOrder(Perturbing):
    """``lr``: step size. ``max_grad_norm``: of the estimate, null for no limit. The rest is fixed: one step an update.

    The rest of the fields: ``contracts.Perturbing``.
    """

    epochs: Literal[1]
    minibatches: Literal[1]
    target_kl: None
    lr: Annotated[float, Field(gt=0)]
    max_grad_norm: Annotated[float, Field(gt=0)] | None

    def make(self, policy: nn.Module, critic: nn.Module) -> Optimizers:
        """Plain ascent over the weights that train; there is no critic.

        Raises:
            ConfigError: the weights are too coarse for a perturbation, or fewer than a block has.
        """
        weights = [weight for weight in policy.parameters() if weight.requires_grad]
        for weight in weights:
            if weight.dtype not in (torch.float32, torch.float64):
                raise ConfigError(
                    f"policy.dtype must be float32 with optimizer=zeroth_order, got weights in {weight.dtype}, which "
                    "round a perturbation away: or add policy/adapter=lora, whose weights are in float32"
                )
        count = sum(weight.numel() for weight in weights)
        if (size := self.block_size) is not None and size > count:
            raise ConfigError(f"optimizer.block_size must be at most the {count} weights that train, got {size}")
        return Optimizers(
            policy=torch.optim.SGD(weights, lr=self.lr, maximize=True),
            critic=None,
            policy_max_grad_norm=self.max_grad_norm,
            critic_max_grad_norm=None,
        )
