"""An optimiser's state as named tensors and back.

torch's own holds tensors by weight and slot. Others nest deeper, count in plain numbers, or share one table between
weights (``bitsandbytes``); a file of tensors has none of these.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

WHOLE = "#"
"""Ends the name of a whole number."""


def flat(state: Mapping[Any, Any], prefix: str = "") -> dict[str, Tensor]:
    """``{0: {"step": 3, "averages": {"first": tensor}}}`` as ``{"0.step#": ..., "0.averages.first": ...}``.

    Raises:
        TypeError: something is neither a tensor, a whole number nor a mapping of these.
    """
    tensors: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, Mapping):
            tensors |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            # A table that several weights share is written for each.
            tensors[f"{prefix}{key}"] = value.clone()
        elif isinstance(value, int):
            tensors[f"{prefix}{key}{WHOLE}"] = torch.tensor(value)
        else:
            raise TypeError(f"an optimiser's state must be tensors and whole numbers, got {prefix}{key}: {value!r}")
    return tensors


def nested(tensors: Mapping[str, Tensor]) -> dict[int, Any]:
    """What ``flat`` was given."""
    state: dict[Any, Any] = {}
    for name, tensor in tensors.items():
        first, *path, last = name.split(".")
        inner = state.setdefault(int(first), {})
        for key in path:
            inner = inner.setdefault(key, {})
        whole = last.endswith(WHOLE)
        inner[last.removesuffix(WHOLE)] = int(tensor) if whole else tensor
    return state
