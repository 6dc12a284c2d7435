"""Gradient checkpointing for a model that stays in eval mode."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from safelab.pretrained.recomputing import recomputed_layers


def checkpointing(module: Any) -> Callable[[], AbstractContextManager[None]]:
    """What to enter around a pass: layers are then computed again in its backward pass instead of kept.

    ``transformers`` checkpoints only layers in training mode, and the policy never is, for dropout would make the ratio
    differ from 1. So within the block, and only where gradient is wanted, the layers themselves say that they train;
    what they hold (attention, its dropout) does not. Sampling is outside, with its cache.

    Raises:
        ConfigError: the model has no layers that can be checkpointed.
    """
    layers = recomputed_layers(module, "policy.gradient_checkpointing")

    @contextmanager
    def around() -> Iterator[None]:
        wanted = torch.is_grad_enabled()
        for layer in layers:
            layer.training = wanted
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False

    return around
