"""A coefficient that stays."""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Coefficient, Empty, Forgetful


class FixedCoefficient(Forgetful, Coefficient[Empty]):
    """``value`` multiplies the penalty."""

    value: Annotated[float, Field(ge=0)]

    def coef(self, state: Empty) -> float:
        """The value."""
        return self.value
