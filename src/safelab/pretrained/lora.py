"""LoRA: low-rank updates beside the linear layers of a frozen model. ``peft`` does the work.

    W' = W + (alpha / rank) B A,   A random, B = 0 at the start: the model is what it was, to the bit

Deviation: no dropout key. Rollout, reference and training must score alike, so dropout is off everywhere, and a key
that changes nothing is none.
Ref: Hu et al. 2021, arXiv 2106.09685, section 4.1.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from safelab.errors import ConfigError, nearest
from safelab.options import Options

Task = Literal["CAUSAL_LM", "SEQ_CLS", "TOKEN_CLS"]
"""What the model is for, in ``peft``'s words; the head of the last two trains in full and is saved with the update."""


HEADS = ("score", "classifier")
"""What a classifier's head is called in ``transformers``, and so in an adapter that holds one."""


class LoraOptions(Options):
    """``rank``; ``alpha``: the update is scaled by alpha / rank; ``targets``: names of the projections, null for all.

    All means every linear layer but the head.
    """

    name: Literal["lora"]
    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(gt=0)]
    targets: Annotated[list[str], Field(min_length=1)] | None


def with_lora(
    module: Any, key: str, task: Task, *, rank: int, alpha: float, targets: Sequence[str] | None, seed: int
) -> Any:
    """``module`` frozen, with trainable low-rank updates beside its projections; A depends on ``seed`` only.

    Args:
        module: of ``transformers``.
        key: of the configuration that asks for it, for messages.
        task: what the model is for.
        rank: see ``LoraOptions``; so are ``alpha`` and ``targets``.
        alpha: see above.
        targets: see above.
        seed: of A.

    Raises:
        ConfigError: a target that the model does not have.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    layers = linear_layers(module)
    for target in targets or ():
        if target not in layers:
            raise ConfigError(
                f"{key}.targets must name linear layers of the model, got {target!r}: {nearest(target, layers)}"
            )
    config = LoraConfig(
        task_type=task,
        r=rank,
        lora_alpha=cast(int, alpha),
        lora_dropout=0.0,
        target_modules=list(targets) if targets else "all-linear",
        exclude_modules=None if task == "CAUSAL_LM" else rf"(.*\.)?({'|'.join(HEADS)})(\..*)?",
    )
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(seed)
            adapted = get_peft_model(module, config)
    except ValueError as error:
        raise ConfigError(
            f"{key} must suit the model, got lora with targets={targets and list(targets)}: "
            f"{str(error).splitlines()[0]}; name other layers, of {', '.join(sorted(layers))}"
        ) from error
    if module.dtype is not torch.float32:
        compute_in_half(adapted)
    return adapted


def compute_in_half(adapted: Any) -> None:
    """Have the updates of a model in half precision computed in its precision, though their weights are float32.

    ``peft`` would compute them in float32, on whose products a GPU takes much longer; and the sum that they go
    into is rounded to half precision all the same.
    """
    from peft.tuners.lora import Linear
    from torch import addmm
    from torch.nn.functional import linear

    # A class and not a function for each layer, so that one compiled layer serves for all.
    class InHalf(Linear):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            """W x + (alpha / rank) B A x, the sum within the last product."""
            plain = self.base_layer(x)
            if self.disable_adapters:
                return plain
            a, b = self.lora_A["default"].weight.to(x.dtype), self.lora_B["default"].weight.to(x.dtype)
            low = linear(x, a).flatten(0, -2)
            return addmm(plain.flatten(0, -2), low, b.t(), alpha=self.scaling["default"]).view_as(plain)

    for layer in adapted.modules():
        if isinstance(layer, Linear):
            layer.__class__ = InHalf


def without_updates(adapted: Any) -> Callable[[], AbstractContextManager[None]]:
    """What to enter around a pass of the model as it was.

    ``peft``'s own way looks for its layers anew and touches every weight, which takes longer than a small model's pass.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [part for part in adapted.modules() if isinstance(part, BaseTunerLayer)]

    @contextmanager
    def off() -> Iterator[None]:
        for layer in layers:
            layer._disable_adapters = True
        try:
            yield
        finally:
            for layer in layers:
                layer._disable_adapters = False

    return off


def linear_layers(module: Any) -> set[str]:
    """The last names of its layers that LoRA can stand beside; GPT-2 and its kind have ``Conv1D`` in their place."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return {name.rsplit(".", 1)[-1] for name, part in module.named_modules() if isinstance(part, (nn.Linear, Conv1D))}


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, ``peft`` says nothing that a user can do nothing about."""
    with warnings.catch_warnings():
        # It asks transformers by a name that has a newer one.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        # GPT-2's layers hold their weights transposed; peft sees it, does the right thing and says so.
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        # To find out whether the embedding trains, it looks for a config.json that an adapter's base lacks.
        warnings.filterwarnings("ignore", "Could not find a config file", UserWarning)
        yield
