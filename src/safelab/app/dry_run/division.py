"""What of a run's memory each of its ranks holds: what is whole on all, what is divided, and what only its rows need.

With ``policy.sharding=layers`` the layers' weights, gradients and averages are divided by the ranks. Embeddings, the
last norm and the head stay whole. While the policy writes, all its layers are whole; in a pass that scores or trains,
two are: the one that computes and the next, which is fetched meanwhile.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How weights lie on the ranks of a run.

    ``parts``: into how many the layers' weights are cut, 1 for not at all; ``layer_of``: the number of the layer that a
    weight belongs to, by the weight's ``id``.
    """

    parts: int
    layer_of: Mapping[int, int]

    def held(self, weights: Iterable[Any], itemsize: int | None = None) -> int:
        """Bytes on one rank of what has a number for each of ``weights``; ``itemsize``: None for the weight's own."""
        return sum(
            -(-one.numel() // (self.parts if id(one) in self.layer_of else 1)) * (itemsize or one.element_size())
            for one in weights
        )

    def whole(self, weights: Iterable[Any]) -> int:
        """Bytes that come beside the parts where all layers are whole."""
        return sum(self.layers(weights)) if self.parts > 1 else 0

    def two(self, weights: Iterable[Any]) -> int:
        """Bytes that come beside the parts where two layers are whole, the largest."""
        return sum(sorted(self.layers(weights))[-2:]) if self.parts > 1 else 0

    def layers(self, weights: Iterable[Any]) -> list[int]:
        """Bytes of each layer's ``weights``."""
        sizes: dict[int, int] = {}
        for one in weights:
            if (layer := self.layer_of.get(id(one))) is not None:
                sizes[layer] = sizes.get(layer, 0) + size_of([one])
        return [*sizes.values()]

    def undivided(self, weights: Iterable[Any]) -> list[Any]:
        """Those that are whole on every rank."""
        return [one for one in weights if self.parts == 1 or id(one) not in self.layer_of]


def division(modules: Iterable[Any], ranks: int, sharding: str) -> Division:
    """Of the layers of policy and reference, models of ``transformers``; ``sharding``: ``policy.sharding``."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [part for module in modules for part in module.modules() if isinstance(part, GradientCheckpointingLayer)]
    layer_of = {id(weight): number for number, layer in enumerate(layers) for weight in layer.parameters()}
    return Division(parts=ranks if sharding == "layers" else 1, layer_of=layer_of)


def largest_exchange(weights: Iterable[Any]) -> int:
    """Bytes of the buffer through which the ranks add up the gradients of ``weights``."""
    from safelab.ranks import buckets

    return max((size_of(bucket) for bucket in buckets([*weights])), default=0)


def written_with(config: Mapping[str, Any], layers: int) -> int:
    """Bytes of layers that are whole for a rollout: for who writes, or for an engine that is handed all weights.

    An adapter goes to an engine by the host's memory.
    """
    by_engine = config["rollout"]["name"] == "vllm"
    return 0 if by_engine and config["policy"]["adapter"]["name"] != "none" else layers


def rows_held(batch: int, ranks: int, minibatches: int, read: bool) -> int:
    """Rows of which a rank holds a tensor that is too large to be everywhere; see ``training.stages.large``.

    Args:
        batch: responses of a rollout.
        ranks: of the run.
        minibatches: of an epoch; several mix the rows of all ranks, which are then gathered, beside its own.
        read: whether training reads the tensor.
    """
    own = -(-batch // ranks)
    return own if ranks == 1 or minibatches == 1 or not read else own + batch


def size_of(weights: Iterable[Any]) -> int:
    """Bytes."""
    return sum(weight.numel() * weight.element_size() for weight in weights)
