"""Full fine-tuning: every weight trains, and the reference is a frozen copy of the starting weights."""

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.policy._adapted import Adapted


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "Full":
    """The absent adapter."""
    return Full()


class Full:
    """``policy._adapted.Adapter``."""

    def adapt(self, module: Any) -> Adapted:
        """The model itself, and a copy that never trains."""
        reference = copy.deepcopy(module).requires_grad_(False).eval()

        def restore(directory: Path) -> None:
            from transformers import AutoModelForCausalLM

            saved = AutoModelForCausalLM.from_pretrained(directory, dtype=module.dtype)
            module.load_state_dict(saved.state_dict())

        return Adapted(
            trained=module,
            inner=module,
            reference=reference,
            as_reference=nullcontext,
            save=module.save_pretrained,
            restore=restore,
        )
