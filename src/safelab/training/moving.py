"""The reference that training is held to, where it follows the policy; the frozen one stays, for what is measured.

    after update u:  theta_ref <- theta_ref + s (theta - theta_ref),   s = controller.reference.share(u)

Its weights are part of a run's state: they are saved in its checkpoints and restored, by a resume and by a rollback.
Ref: EMA-PG, arXiv 2602.04417, by its released code; periodic resets (s = 1): TRL's ``sync_ref_model``.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from safelab.contracts import CausalModel, Policy
from safelab.training.components import Components


def held_to(policy: Policy) -> CausalModel:
    """The reference of the KL penalty, and of an objective that reads one."""
    return policy.reference if policy.moving is None else policy.moving.model


@torch.no_grad()
def follow(parts: Components, updates: int) -> None:
    """Move the moving reference, if there is one, after so many updates of the run."""
    moving, reference = parts.policy.moving, parts.controller.reference
    if moving is None or reference is None:
        return
    share = reference.share(updates)
    for name, weight in moving.weights.items():
        if share == 1.0:
            weight.copy_(moving.policy[name])
        elif share > 0.0:
            weight.lerp_(moving.policy[name], share)


@torch.no_grad()
def moving_metrics(policy: Policy) -> dict[str, Tensor]:
    """How far the moving reference is from the policy, and from the frozen one where it began."""
    if policy.moving is None:
        return {}
    moving = policy.moving
    return {
        "policy/anchor_distance": apart(moving.weights, moving.policy),
        "policy/anchor_moved": apart(moving.weights, moving.start),
    }


def apart(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Tensor:
    """The norm of all differences together."""
    return nn.utils.get_total_norm([weight - others[name].to(weight) for name, weight in weights.items()])


def saved(policy: Policy) -> dict[str, Tensor]:
    """The weights of the moving reference, by name; none where there is none."""
    return {} if policy.moving is None else dict(policy.moving.weights)


@torch.no_grad()
def restore(policy: Policy, tensors: Mapping[str, Tensor]) -> None:
    """Take what ``saved`` gave, to the bit."""
    for name, weight in saved(policy).items():
        weight.copy_(tensors[name])
