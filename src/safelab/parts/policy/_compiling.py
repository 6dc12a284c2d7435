"""A model's layers through ``torch.compile``, for the passes that score and train."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from safelab.pretrained.heads import backbone


def compile_layers(module: Any) -> None:
    """Have every layer of a model of ``transformers`` run compiled, for rows of any length, wherever it has no cache.

    Layer by layer, because all layers are one code: it is compiled once for all of them.
    Sampling has its cache, and is left to ``rollout.decoding``.

    Args:
        module: whose layers; one without a list of layers is compiled as a whole.
    """
    import torch._functorch.config as functorch
    from transformers.modeling_layers import GradientCheckpointingLayer

    # The audit of the first update asks for the gradient of each term of a loss, and so goes back more than once.
    functorch.donated_buffer = False
    parts = [part for part in module.modules() if isinstance(part, GradientCheckpointingLayer)] or [backbone(module)]
    for part in parts:
        part.forward = partial(_forward, part.forward, torch.compile(part.forward, dynamic=True))


def _forward(plain: Callable[..., Any], compiled: Callable[..., Any], *states: Any, **named: Any) -> Any:
    return (compiled if named.get("past_key_values") is None else plain)(*states, **named)
