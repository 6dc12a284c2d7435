"""A second reference that follows the policy: every so many updates it goes a part of the way.

    theta_ref <- decay theta_ref + (1 - decay) theta     after updates every, 2 every, ...

``decay`` 0 is a reference that is reset to the policy. At a steady pace it lags ``every decay / (1 - decay)`` updates,
by its own steps' width more or less. It bounds how fast the policy moves, not how far; what is measured (KL, crashes)
stays to the frozen one.
Ref: EMA-PG, arXiv 2602.04417, by its released code. It counts trainer steps; here an update is all steps on a rollout.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import Reference


class Moving(Reference):
    """``decay``: what it keeps of itself. ``every``: updates from one move to the next."""

    moves: ClassVar[bool] = True

    decay: Annotated[float, Field(ge=0, lt=1)]
    every: Annotated[int, Field(ge=1)]

    def share(self, updates: int) -> float:
        """1 - decay, at its times."""
        return 0.0 if updates % self.every else 1.0 - self.decay
