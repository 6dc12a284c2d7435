"""A threshold that only the phase moves: tau = base * phase multiplier."""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Empty, Forgetful, Threshold


class FixedThreshold(Forgetful, Threshold[Empty]):
    """``base``: nats per response token."""

    base: Annotated[float, Field(ge=0)]

    def threshold(self, state: Empty, multiplier: float) -> float:
        """Base * multiplier."""
        return self.base * multiplier
