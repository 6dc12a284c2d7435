"""What the options that train low-rank updates share: their keys, and the model with such updates beside its layers."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from safelab.contracts import Adapted, Adapter
from safelab.pretrained.adapters import WEIGHTS
from safelab.pretrained.lora import with_lora, without_updates
from safelab.pretrained.sharding import take


class LowRank(Adapter):
    """``rank``; ``alpha``: the update is scaled by alpha / rank; ``targets``: names of the projections, null for all.

    All means every linear layer but the language-model head.
    """

    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(gt=0)]
    targets: Annotated[list[str], Field(min_length=1)] | None

    def low_rank(self, module: Any, seed: int) -> Adapted:
        """Freeze ``module`` and put trainable low-rank updates beside its projections; A depends on ``seed`` only.

        Raises:
            ConfigError: a target that the model does not have.
        """
        from safelab.maths.seeds import derive_seed

        adapted = with_lora(
            module, "policy.adapter", "CAUSAL_LM",
            rank=self.rank, alpha=self.alpha, targets=self.targets, seed=derive_seed(seed, "lora"),
        )  # fmt: skip
        adapted.eval()

        def restore(directory: Path) -> None:
            from peft import get_peft_model_state_dict
            from safetensors.torch import load_file

            # Under the names that the file has; the tensors are the weights' own.
            own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
            take(own, load_file(directory / WEIGHTS))

        return Adapted(
            trained=adapted,
            inner=module,
            reference=module,
            as_reference=without_updates(adapted),
            # The embedding never trains; to find that out, peft looks for a config.json that a merged base lacks.
            save=partial(adapted.save_pretrained, save_embedding_layers=False),
            restore=restore,
            weights=lambda: {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad},
        )
