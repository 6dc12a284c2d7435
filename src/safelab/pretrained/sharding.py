"""Layers spread over the ranks of a run (FSDP2): each rank holds its part of every weight in them.

A layer is whole only while it is computed, forward and backward. What stands outside the layers (embeddings, last norm,
head) stays whole on every rank, because hidden states and head are read each by itself (``_reading.CausalReader``).

    gradient of a part = sum over the ranks of theirs      (a loss is a sum over a count of the whole minibatch)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from safelab.errors import ConfigError
from safelab.pretrained.heads import backbone
from safelab.ranks import Ranks, is_part


def spread(module: Any, ranks: Ranks, key: str) -> None:
    """Keep of each layer of ``module`` only this rank's part; its optimiser has to be made after this.

    Args:
        module: of ``transformers``, the same on all ranks, on the device where it is computed.
        ranks: those that share it.
        key: of the configuration that asks for it, for the message.

    Raises:
        ConfigError: the model has no layers to be told apart.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers.modeling_layers import GradientCheckpointingLayer

    body = backbone(module)
    layers = [part for part in body.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(f"{key} must be none for this model, got layers: it has no layers that could be told apart")
    mesh = init_device_mesh(module.device.type, (ranks.size,))
    inside = {weight for layer in layers for weight in layer.parameters()}
    outside = {weight for weight in body.parameters() if weight not in inside}
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    # The body gathers nothing of its own: it keeps the layers' order, and ends their backward pass.
    fully_shard(body, mesh=mesh, ignored_params=outside)
    for part in (*layers, body):
        # Otherwise gradients are averaged, which not every backend can.
        part.set_force_sum_reduction_for_comms(True)
        part.set_gradient_divide_factor(1.0)


@contextmanager
def whole_layers(module: Any) -> Iterator[None]:
    """Within it every rank has all layers whole, and a pass tells the others nothing: ranks may make unequally many.

    All ranks must enter. Only for passes without gradient; the weights may not change within.
    """
    from torch.distributed.fsdp import FSDPModule

    layers = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for layer in layers:
        layer.set_reshard_after_forward(False, recurse=False)
        layer.unshard()
    try:
        yield
    finally:
        for layer in layers:
            layer.reshard()
            layer.set_reshard_after_forward(True, recurse=False)


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a weight, gradient or average of which each rank may hold a part; all ranks must ask."""
    held: Any = tensor
    whole: Tensor = held.full_tensor() if is_part(tensor) else held
    return whole


def collected(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """All of them whole, in the host's memory, on ranks that ``keep`` them; nothing on others, which must ask too."""
    held: dict[int, Tensor] = {}
    found = {}
    for name, tensor in tensors.items():
        whole = gathered(tensor.detach())
        if keep:
            # A head that is the embedding stays one tensor under two names, as whoever saves it expects.
            found[name] = whole.cpu() if is_part(tensor) else held.setdefault(tensor.data_ptr(), whole.cpu())
    return found


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """The part of ``whole`` that this rank holds, if ``like`` is a part; no rank is asked."""
    if not is_part(like):
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def take(weights: Mapping[str, Tensor], whole: Mapping[str, Tensor]) -> None:
    """Write ``whole`` into ``weights``, which may be parts.

    Raises:
        ValueError: they have not the same names and shapes.
    """
    if weights.keys() != whole.keys():
        raise ValueError(f"other weights are there: {', '.join(sorted(weights.keys() ^ whole.keys())[:3])}")
    for name, weight in weights.items():
        if weight.shape != whole[name].shape:
            raise ValueError(f"{name} must be of {[*weight.shape]}, got {[*whole[name].shape]}")
        weight.copy_(part_of(whole[name], weight))


def is_spread(module: nn.Module) -> bool:
    """Whether this rank holds only a part of any of its weights."""
    return any(is_part(weight) for weight in module.parameters())
