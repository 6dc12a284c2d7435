"""What ``critic=value_model`` needs beside the policy: a second network, whole on every rank and trained in full."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safelab.app.dry_run.activations import activations, fused_attention
from safelab.app.dry_run.division import largest_exchange, size_of
from safelab.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueNeed:
    """Parameters, those of them that multiply (all but the table of embeddings), and bytes by what they are for.

    ``activations``: of a training pass, beside the policy's. ``exchange``: see ``memory.Need``.
    """

    parameters: int
    multiplied: int
    weights: int
    averages: int
    gradients: int
    activations: int
    layers: int
    exchange: int

    def backward(self, pieces: int) -> int:
        """Bytes at the most while its own backward pass runs, which comes before the policy's.

        Args:
            pieces: passes of an optimiser step; from the second on its gradients are there throughout.
        """
        if pieces > 1:
            return self.gradients + self.activations
        return max(self.activations, self.gradients + self.activations // self.layers)


NONE = ValueNeed(
    parameters=0, multiplied=0, weights=0, averages=0, gradients=0, activations=0, layers=1, exchange=0
)  # fmt: skip
"""Of a critic without a network of its own, whose heads are too small to count."""


def value_network(config: Mapping[str, Any], shape: Any, positions: int, width: int) -> ValueNeed:
    """The same of a run.

    Args:
        config: the run's, resolved.
        shape: the classifier's configuration, of ``transformers``.
        positions: of the widest training pass.
        width: tokens of the longest row.

    Raises:
        ConfigError: its pass cannot be followed without its weights.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from safelab.pretrained.load import FAULTS, reason_of

    given = copy.deepcopy(shape)
    given.num_labels = 1
    try:
        with torch.device("meta"):
            module = AutoModelForSequenceClassification.from_config(
                given,
                dtype=getattr(torch, config["critic"]["dtype"]),
                attn_implementation=fused_attention(),
                trust_remote_code=False,
            ).eval()
        rows = -(-positions // width)
        kept, _ = activations(module, rows, width, False)
    except FAULTS as error:
        raise ConfigError(
            f"dry_run must follow the value model's pass to foretell its memory, and cannot that of critic.path="
            f"{config['critic']['path']} ({reason_of(error)}); the run itself does not need it"
        ) from error
    weights = [*module.parameters()]
    size, count = size_of(weights), sum(weight.numel() for weight in weights)
    return ValueNeed(
        parameters=count,
        multiplied=count - module.get_input_embeddings().weight.numel(),
        weights=size,
        averages=2 * size // (1 if config["optimizer"]["name"] != "adamw_8bit" else module.dtype.itemsize),
        gradients=size,
        activations=kept * positions // (rows * width),
        layers=module.config.num_hidden_layers,
        exchange=largest_exchange(weights) if config["ranks"] > 1 else 0,
    )
