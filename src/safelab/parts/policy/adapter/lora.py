"""LoRA: only low-rank updates of some projections train, and the reference is the same weights with them off.

    W' = W + (alpha / rank) B A,   A random, B = 0 at the start: policy and reference are equal to the bit

One copy of the weights serves both, so a policy costs its own memory and little more. ``peft`` does the work.
Deviation: no dropout key. Rollout, reference and training must score alike, so dropout is off everywhere, and a key
that changes nothing is none.
Ref: Hu et al. 2021, arXiv 2106.09685, section 4.1.
"""

import warnings
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field

from safelab.contracts import Adapted, Adapter
from safelab.errors import ConfigError, nearest

WEIGHTS = "adapter_model.safetensors"


class Lora(Adapter):
    """``rank``; ``alpha``: the update is scaled by alpha / rank; ``targets``: names of the projections, null for all.

    All means every linear layer but the language-model head.
    """

    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(gt=0)]
    targets: Annotated[list[str], Field(min_length=1)] | None

    def adapt(self, module: Any, seed: int) -> Adapted:
        """Freeze ``module`` and put trainable low-rank updates beside its projections; A depends on ``seed`` only.

        Raises:
            ConfigError: a target that the model does not have.
        """
        import torch
        from peft import LoraConfig, get_peft_model

        from safelab.maths.seeds import derive_seed

        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=cast(int, self.alpha),
            lora_dropout=0.0,
            target_modules=self.targets or "all-linear",
        )
        layers = linear_layers(module)
        for target in self.targets or ():
            if target not in layers:
                raise ConfigError(
                    f"policy.adapter.targets must name linear layers of the model, got {target!r}: "
                    f"{nearest(target, layers)}"
                )
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                # peft asks transformers by a name that has a newer one; nothing for a user to do.
                warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
                # GPT-2's layers hold their weights transposed; peft sees it, does the right thing and says so.
                warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
                torch.manual_seed(derive_seed(seed, "lora"))
                adapted = get_peft_model(module, config)
        except ValueError as error:
            raise ConfigError(
                f"policy.adapter must suit the model, got lora with targets={self.targets}: "
                f"{str(error).splitlines()[0]}; name other layers, of {', '.join(sorted(layers))}"
            ) from error
        adapted.eval()

        def off() -> AbstractContextManager[None]:
            return cast(AbstractContextManager[None], adapted.disable_adapter())

        def restore(directory: Path) -> None:
            from peft import set_peft_model_state_dict
            from safetensors.torch import load_file

            set_peft_model_state_dict(adapted, load_file(directory / WEIGHTS))

        return Adapted(
            trained=adapted,
            inner=module,
            reference=module,
            as_reference=off,
            # The embedding never trains; to find that out, peft looks for a config.json that a merged base lacks.
            save=partial(adapted.save_pretrained, save_embedding_layers=False),
            restore=restore,
        )


def linear_layers(module: Any) -> set[str]:
    """The last names of its layers that LoRA can stand beside; GPT-2 and its kind have ``Conv1D`` in their place."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return {name.rsplit(".", 1)[-1] for name, part in module.named_modules() if isinstance(part, (nn.Linear, Conv1D))}
