"""How a value is trained: what every critic of this group shares."""

from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Part
from safelab.maths.surrogate import value_loss


class ValueLossOptions(Part):
    """The value loss, see ``maths.surrogate.value_loss``, and how much it weighs.

    ``value_clip_range``: in units of the return. ``warmup_updates``: updates in which only the critic learns.
    """

    value_loss: Literal["mse", "huber"]
    huber_delta: Annotated[float, Field(gt=0)]
    value_clip: Literal["none", "max", "sum"]
    value_clip_range: Annotated[float, Field(gt=0)]
    coef: Annotated[float, Field(ge=0)]
    warmup_updates: Annotated[int, Field(ge=0)]

    def loss(
        self, value: Float[Tensor, "*b"], value_old: Float[Tensor, "*b"], returns: Float[Tensor, "*b"]
    ) -> Float[Tensor, "*b"]:
        """Loss of each value, not yet averaged."""
        return value_loss(
            value,
            value_old,
            returns,
            kind=self.value_loss,
            huber_delta=self.huber_delta,
            clip=self.value_clip,
            clip_range=self.value_clip_range,
        )
