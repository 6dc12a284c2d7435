"""Goes back to the last checkpoint where a run is lost, and on from there with other rates, a few times at most.

    lr <- lr_factor lr,   kl_coef <- kl_coef_factor kl_coef        at each rollback

The prompts and the sampling noise after the checkpoint are the same again, for they depend on seed and update only.
With the same rates the run would go wrong in the same way; so at least one factor must differ from 1.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from safelab.contracts import Remedy
from safelab.parts.guard._watch import Watch


class Rollback(Watch):
    """What is watched as in ``guard=stop``, and what is done about it; see ``contracts.Remedy``."""

    max_rollbacks: Annotated[int, Field(ge=1)]
    lr_factor: Annotated[float, Field(gt=0, le=1)]
    kl_coef_factor: Annotated[float, Field(ge=1)]

    @model_validator(mode="after")
    def _something_changes(self) -> Self:
        if self.lr_factor == self.kl_coef_factor == 1.0:
            raise ValueError("must change a rate, got lr_factor=1 and kl_coef_factor=1: it would go wrong again alike")
        return self

    @property
    def remedy(self) -> Remedy:
        """Back to the last checkpoint; how often it was done is part of the run's state."""
        return Remedy(max_rollbacks=self.max_rollbacks, lr_factor=self.lr_factor, kl_coef_factor=self.kl_coef_factor)
