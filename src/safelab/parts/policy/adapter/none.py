"""Full fine-tuning: every weight trains, and the reference is a frozen copy of the starting weights."""

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch

from safelab.contracts import Adapted, Adapter


class NoAdapter(Adapter):
    """``reference_dtype``: of the frozen copy, null for the policy's own; bfloat16 halves float32."""

    reference_dtype: Literal["float32", "bfloat16"] | None

    def adapt(self, module: Any, seed: int) -> Adapted:
        """The model itself, and a copy that never trains."""
        dtype = module.dtype if self.reference_dtype is None else getattr(torch, self.reference_dtype)
        reference = copy.deepcopy(module).requires_grad_(False).eval().to(dtype)

        def restore(directory: Path) -> None:
            from transformers import AutoModelForCausalLM

            saved = AutoModelForCausalLM.from_pretrained(directory, dtype=module.dtype, use_safetensors=True)
            module.load_state_dict(saved.state_dict())

        return Adapted(
            trained=module,
            inner=module,
            reference=reference,
            as_reference=nullcontext,
            save=module.save_pretrained,
            restore=restore,
        )
