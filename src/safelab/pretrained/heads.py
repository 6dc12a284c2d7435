"""A model of ``transformers`` in two: its layers, and the map above them."""

from typing import Any

import torch
from torch import Tensor, nn

from safelab.pretrained.lora import HEADS


def backbone(module: Any) -> nn.Module:
    """The model below its head."""
    inner: nn.Module = getattr(module, module.base_model_prefix)
    return inner


def head_of(module: Any) -> nn.Module | None:
    """What maps states to logits: a language model's head, or a classifier's by its usual names; None if it has none.

    It is asked for at every pass: beside an adapter, ``peft`` puts a copy that trains in a classifier's head's place.
    """
    head: nn.Module | None = module.get_output_embeddings()
    if head is not None:
        return head
    return next((getattr(module, name) for name in HEADS if hasattr(module, name)), None)


@torch.no_grad()
def head_is_plain(module: Any, device: torch.device) -> bool:
    """Whether logits = head(hidden): models that scale or cap their logits are not read right from hidden states.

    A classifier of whole texts has the head's output at the last token as its logits. One that pools, or has a layer
    between states and head, is not plain.

    A cap is the identity on small logits, and those of fresh weights are small. So the head is given larger states
    than the model's own, which make logits of up to ``PROBE_LOGIT``, and the model's logits must be the head's.
    """
    head = head_of(module)
    if head is None:
        return False
    # Classifiers pass over padding.
    padding = getattr(module.config, "pad_token_id", None)
    ids = torch.tensor([[number for number in range(4) if number != padding][:3]], device=device)
    states = backbone(module)(input_ids=ids, use_cache=False).last_hidden_state
    scale = PROBE_LOGIT / float(head(states).abs().max().clamp(min=1e-3))
    received, answered = [], []

    def enlarge(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        received.append(given[0])
        return (scale * given[0], *given[1:])

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        answered.append(output)

    hooks = (head.register_forward_pre_hook(enlarge), head.register_forward_hook(keep))
    try:
        logits = module(input_ids=ids, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    if len(answered) != 1 or received[0].shape != states.shape:
        return False
    said = answered[0] if logits.ndim == states.ndim else answered[0][:, -1]
    return said.shape == logits.shape and _same(received[0], states) and _same(said, logits)


PROBE_LOGIT = 1000.0
"""Far above any cap that is in use (30 to 50)."""


def _same(x: Tensor, y: Tensor) -> bool:
    """Equal but for rounding, which is relative to the largest value."""
    tolerance = 2e-2 if x.dtype in (torch.bfloat16, torch.float16) else 1e-4
    return bool((x - y).abs().max() <= tolerance * y.abs().max())
