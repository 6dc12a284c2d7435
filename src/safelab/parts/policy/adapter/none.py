"""Full fine-tuning: every weight trains, and the reference is a frozen copy of the starting weights."""

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch

from safelab.contracts import Adapted, Adapter
from safelab.pretrained.load import Source, weights_of
from safelab.pretrained.sharding import take


class NoAdapter(Adapter):
    """``reference_dtype``: of the frozen copy, null for the policy's own; bfloat16 halves float32."""

    reference_dtype: Literal["float32", "bfloat16"] | None

    def adapt(self, module: Any, seed: int) -> Adapted:
        """The model itself, and a copy that never trains."""
        dtype = module.dtype if self.reference_dtype is None else getattr(torch, self.reference_dtype)
        reference = copy.deepcopy(module).requires_grad_(False).eval().to(dtype)

        def restore(directory: Path) -> None:
            source = Source("the checkpoint", str(directory), "of the run's policy", "use an older one")
            saved, _ = weights_of(type(module), source, dtype=module.dtype)
            take(module.state_dict(), saved.state_dict())

        return Adapted(
            trained=module,
            inner=module,
            reference=reference,
            as_reference=nullcontext,
            save=module.save_pretrained,
            restore=restore,
            weights=module.state_dict,
        )
