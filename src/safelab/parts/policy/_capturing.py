"""The pass of one token as a CUDA graph: its kernels are recorded once and then started all together.

A step of a small batch is mostly launches, a thousand of them or more; replaying a graph is one. Unlike
``torch.compile`` it takes no time to speak of to make, and runs the same kernels as a plain step.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.errors import ConfigError
from safelab.parts.policy._prefill import forward


@dataclass(frozen=True, slots=True)
class Recorded:
    """A graph, the cache whose tensors it reads and writes, and where its inputs and its output lie."""

    graph: Any
    cache: Any
    inputs: tuple[Tensor, ...]
    logits: Tensor


class Captured:
    """``_prefill.forward`` of one token on a GPU, recorded for each number of rows."""

    def __init__(self) -> None:
        self._recorded: dict[int, Recorded] = {}

    def __call__(
        self, module: Any, ids: Int[Tensor, "b 1"], mask: Tensor, positions: Int[Tensor, "b 1"], cache: Any
    ) -> Float[Tensor, "b vocab"]:
        """Logits after the token; they lie in memory that the next step of as many rows writes anew."""
        held = self._recorded.get(len(ids))
        if held is None or held.cache is not cache:
            check_recordable(module, cache)
            # The step itself comes first, as it is: what a library sets up at its first call must not be recorded.
            logits = forward(module, ids, mask, positions, cache)
            self._recorded[len(ids)] = recorded(module, (ids, mask, positions), cache)
            return logits
        for place, given in zip(held.inputs, (ids, mask, positions), strict=True):
            place.copy_(given)
        held.graph.replay()
        return held.logits


def check_recordable(module: Any, cache: Any) -> None:
    """Refuse a cache whose place is counted on the host, where a graph would count no further.

    Raises:
        ConfigError: it has such a layer.
    """
    from transformers.cache_utils import StaticLayer

    if any(type(layer) is not StaticLayer for layer in cache.layers):
        raise ConfigError(
            f"rollout.decoding must be dynamic, static or compiled for a {type(module).__name__}, got captured: "
            "some of its layers see a window, whose place is counted on the host"
        )


def recorded(module: Any, inputs: tuple[Tensor, ...], cache: Any) -> Recorded:
    """A step on copies of these inputs. Recording runs no kernel, so that the cache stays as it is."""
    ids, mask, positions = places = tuple(given.clone() for given in inputs)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = forward(module, ids, mask, positions, cache)
    return Recorded(graph, cache, places, logits)
