"""float64 wherever a device has it: Apple's GPUs (``mps``) do not, and what needs it is computed beside them."""

import torch
from torch import Tensor


def device_of_float64(device: torch.device) -> torch.device:
    """Where the float64 tensors that belong to ``device`` stand: there, or on the CPU."""
    return torch.device("cpu") if device.type == "mps" else device


def wide(x: Tensor) -> Tensor:
    """``x`` in float64 on ``device_of_float64``; gradients flow through.

    What is computed from it goes back with ``.to(x)``, which takes type and device of ``x``.
    """
    return x.to(device_of_float64(x.device), torch.float64)
