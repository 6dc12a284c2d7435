"""Numbers of a device as Python's own, all that are wanted at once."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from safelab.maths.wide import wide


def fetched(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` in their order, with a float for each tensor of one number; what is no tensor stays as it is.

    ``float(tensor)`` waits until a GPU has done all that was queued before, and the GPU then waits for what the host
    sends next. Here that happens once, however many numbers there are. float64 holds each of them exactly.
    """
    tensors = {name: value.detach() for name, value in values.items() if isinstance(value, Tensor)}
    numbers = torch.stack([wide(value) for value in tensors.values()]).tolist() if tensors else []
    return {**values, **dict(zip(tensors, numbers, strict=True))}
