"""An optimiser's state as named tensors and back, each under the name of its weight: ``layers.0.up.weight:exp_avg``.

So it fits any number of ranks, whether they hold parts or all; up to 0.2.0 the weight's number stood in its name's
place. torch's own state holds tensors by weight and slot. Others nest deeper, count in plain numbers, or share one
table between weights (``bitsandbytes``); a file of tensors has none of these.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from safelab.pretrained.sharding import collected, part_of
from safelab.ranks import Ranks, is_part

WHOLE = "#"
"""Ends the name of a whole number."""

OF = ":"
"""Between a weight's name and its slot's."""


def saved(module: nn.Module, optimizer: torch.optim.Optimizer, ranks: Ranks) -> dict[str, Tensor]:
    """The state by name; of parts on the first rank alone, and all must ask."""
    state = optimizer.state_dict()["state"]
    tensors: dict[str, Tensor] = {}
    for number, name in enumerate(names_in(module, optimizer)):
        tensors |= flat(state.get(number, {}), f"{name}{OF}")
    return collected(tensors, ranks.leads) if any(map(is_part, tensors.values())) else tensors


def saved_groups(module: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Learning rates and the like, which a schedule may have moved, and of which weights."""
    names = names_in(module, optimizer)
    groups = optimizer.state_dict()["param_groups"]
    return [{**group, "params": [names[number] for number in group["params"]]} for group in groups]


def load(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    groups: Sequence[Mapping[str, Any]],
) -> None:
    """Take what ``saved`` and ``saved_groups`` told, of however many ranks.

    Raises:
        ValueError: it is of other weights.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    names = names_in(module, optimizer)
    # Before there were names, weights were counted; parts come first in an optimiser, but there were none then.
    ours = {*names}
    counted = [name for name in names_of(module).values() if name in ours] if any(map(is_part, weights)) else names
    called: dict[int | str, str] = {**dict(enumerate(counted)), **{name: name for name in names}}
    group_of = {called.get(name, str(name)): group for group in groups for name in group["params"]}
    if group_of.keys() != {*names}:
        raise ValueError("the optimiser was one of other weights")
    state = {called.get(name, str(name)): slots for name, slots in nested(tensors).items()}
    optimizer.load_state_dict(
        {
            "state": {
                number: _parts(state[name], weight)
                for number, (name, weight) in enumerate(zip(names, weights, strict=True))
                if name in state
            },
            "param_groups": [
                {**group_of[names[own["params"][0]]], "params": own["params"]}
                for own in optimizer.state_dict()["param_groups"]
            ],
        }
    )


def _parts(slots: Mapping[str, Any], weight: Tensor) -> dict[str, Any]:
    """Of each slot that is as large as its weight, the part that this rank holds."""
    return {
        name: _parts(slot, weight)
        if isinstance(slot, Mapping)
        else part_of(slot, weight)
        if isinstance(slot, Tensor) and slot.shape == weight.shape
        else slot
        for name, slot in slots.items()
    }


def names_of(module: nn.Module) -> dict[int, str]:
    """The name of each weight, by its identity, in their order."""
    return {id(weight): name for name, weight in module.named_parameters()}


def names_in(module: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """The names of an optimiser's weights, in its own order; a weight of no module goes by its number."""
    names = names_of(module)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return [names.get(id(weight), f"weight {number}") for number, weight in enumerate(weights)]


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


def nested(tensors: Mapping[str, Tensor]) -> dict[int | str, Any]:
    """What ``flat`` was given of each weight, by its name, or by its number in a checkpoint without names."""
    state: dict[int | str, Any] = {}
    for name, tensor in tensors.items():
        weight, named, slot = name.rpartition(OF)
        first, *path = slot.split(".") if not named else [weight, *slot.split(".")]
        *path, last = path
        inner = state.setdefault(first if named else int(first), {})
        for key in path:
            inner = inner.setdefault(key, {})
        whole = last.endswith(WHOLE)
        inner[last.removesuffix(WHOLE)] = int(tensor) if whole else tensor
    return state
