"""Goes back to the last checkpoint where a run is lost, and on from there with other rates, a few times at most.

    lr <- lr_factor lr,   kl_coef <- kl_coef_factor kl_coef        at each rollback

The prompts and the sampling noise after the checkpoint are the same again, for they depend on seed and update only.
With the same rates the run would go wrong in the same way; so at least one factor must differ from 1.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from safelab.contracts import Context, Remedy
from safelab.parts.guard._watch import WatchOptions, objection


class Options(WatchOptions):
    """What is watched as in ``guard=stop``, and what is done about it; see ``contracts.Remedy``."""

    max_rollbacks: Annotated[int, Field(ge=1)]
    lr_factor: Annotated[float, Field(gt=0, le=1)]
    kl_coef_factor: Annotated[float, Field(ge=1)]

    @model_validator(mode="after")
    def _something_changes(self) -> Self:
        if self.lr_factor == self.kl_coef_factor == 1.0:
            raise ValueError("must change a rate, got lr_factor=1 and kl_coef_factor=1: it would go wrong again alike")
        return self


def build(options: Options, context: Context) -> "RollbackGuard":
    """The guard; what it has done is part of the run's state."""
    return RollbackGuard(options)


class RollbackGuard:
    """``contracts.Guard``."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.remedy = Remedy(
            max_rollbacks=options.max_rollbacks,
            lr_factor=options.lr_factor,
            kl_coef_factor=options.kl_coef_factor,
        )

    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """What is wrong, and at which update; the first that is found.

        Raises:
            RunFailed: a watched metric is not in the row.
        """
        return objection(self._options, row)
