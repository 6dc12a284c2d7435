"""One row of ``metrics.jsonl`` as the kinds of crash read it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``metrics``: the row by name; what no kind needs is ignored. ``batch_size``: responses behind ``reward/mean``."""

    metrics: Mapping[str, Any]
    batch_size: int

    def number(self, name: str) -> float | None:
        """A metric; None where the row does not have it, or has it without a value."""
        value = self.metrics.get(name)
        return None if value is None else float(value)

    def reward(self) -> tuple[float, float] | None:
        """Mean of the raw reward over the batch and its deviation over the responses; None where either is missing.

        A batch of one response has no deviation (NaN), which counts as missing. A mean that is not finite needs no
        deviation that is.
        """
        mean, deviation = self.number("reward/mean"), self.number("reward/std")
        if mean is None or deviation is None:
            return None
        return (mean, deviation) if math.isfinite(deviation) or not math.isfinite(mean) else None
