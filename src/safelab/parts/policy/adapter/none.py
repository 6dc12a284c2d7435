"""Full fine-tuning: every weight trains, and the reference is a frozen copy of the starting weights."""

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.parts.policy._adapted import Adapted


class Options(BaseOptions):
    """``reference_dtype``: of the frozen copy, null for the policy's own; bfloat16 halves float32."""

    name: str
    reference_dtype: Literal["float32", "bfloat16"] | None


def build(options: Options, context: Context) -> "Full":
    """The absent adapter."""
    return Full(options.reference_dtype)


class Full:
    """``policy._adapted.Adapter``."""

    def __init__(self, reference_dtype: str | None) -> None:
        self._reference_dtype = reference_dtype

    def adapt(self, module: Any) -> Adapted:
        """The model itself, and a copy that never trains."""
        dtype = module.dtype if self._reference_dtype is None else getattr(torch, self._reference_dtype)
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
