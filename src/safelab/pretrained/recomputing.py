"""Gradient checkpointing: layers are computed again in the backward pass, in place of keeping what they computed."""

import warnings
from typing import Any

from safelab.errors import ConfigError


def recomputed_layers(module: Any, key: str) -> list[Any]:
    """Has the model's layers computed again wherever they are in training mode, and returns them.

    Args:
        module: of ``transformers``.
        key: of the configuration that asks for it, for the message.

    Raises:
        ConfigError: the model has no layers that can be checkpointed.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [part for part in module.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(f"{key} must be false for this model, got true: it has no such layers")
    with warnings.catch_warnings():
        # It has a newer name, which the first versions that serve here do not know.
        warnings.filterwarnings("ignore", "`gradient_checkpointing_enable` is deprecated", FutureWarning)
        module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return layers
