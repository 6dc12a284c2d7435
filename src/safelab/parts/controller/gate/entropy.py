"""A penalty that is stronger when the policy's entropy H is low.

    g = clamp( floor / (H + eps), minimum, maximum )

``floor_unit: nats`` takes the floor as it stands (released: 2.0); ``share_of_start`` as a share of the first
entropy seen, for models whose entropy starts below two nats: there the absolute floor always amplifies.
Ref: SAFE, arXiv 2602.04651; its released ``EntropyAwarePredictiveController``.
"""

from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Gate
from safelab.options import State
from safelab.types import Signals


class EntropySeen(State):
    """First and newest entropy, in nats per token; None before any was seen."""

    first: float | None = None
    newest: float | None = None


class EntropyGate(Gate[EntropySeen]):
    """``floor`` in ``floor_unit``; ``eps`` in nats; ``maximum``: null for none (released)."""

    floor: Annotated[float, Field(gt=0)]
    floor_unit: Literal["nats", "share_of_start"]
    eps: Annotated[float, Field(gt=0)]
    minimum: Annotated[float, Field(ge=0)]
    maximum: Annotated[float, Field(gt=0)] | None

    def init(self) -> EntropySeen:
        """None seen."""
        return EntropySeen()

    def step(self, state: EntropySeen, signals: Signals, kl: float) -> EntropySeen:
        """The newest entropy."""
        newest = signals.entropy_token
        return EntropySeen(first=newest if state.first is None else state.first, newest=newest)

    def factor(self, state: EntropySeen) -> float:
        """g; 1 before any entropy was seen."""
        if state.first is None or state.newest is None:
            return 1.0
        floor = self.floor if self.floor_unit == "nats" else self.floor * state.first
        factor = max(self.minimum, floor / (state.newest + self.eps))
        return factor if self.maximum is None else min(self.maximum, factor)
