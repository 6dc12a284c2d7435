"""A penalty that is stronger when the policy's entropy H is low.

    g = clamp( floor / (H + eps), minimum, maximum )

``floor_unit: nats`` takes the floor as it stands (released: 2.0); ``share_of_start`` as a share of the first
entropy seen, for models whose entropy starts below two nats: there the absolute floor always amplifies.
Ref: SAFE, arXiv 2602.04651; its released ``EntropyAwarePredictiveController``.
"""

from typing import Annotated, Literal, cast

from pydantic import Field

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.types import Signals


class Options(BaseOptions):
    """``floor`` in ``floor_unit``; ``eps`` in nats; ``maximum``: null for none (released)."""

    name: str
    floor: Annotated[float, Field(gt=0)]
    floor_unit: Literal["nats", "share_of_start"]
    eps: Annotated[float, Field(gt=0)]
    minimum: Annotated[float, Field(ge=0)]
    maximum: Annotated[float, Field(gt=0)] | None


class EntropySeen(State):
    """First and newest entropy, in nats per token."""

    first: float | None
    newest: float | None


def build(options: Options, context: Context) -> "EntropyGate":
    """The gate."""
    return EntropyGate(options)


class EntropyGate:
    """Remembers two entropies."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def init(self) -> EntropySeen:
        """None seen."""
        return EntropySeen(first=None, newest=None)

    def step(self, state: State, signals: Signals, kl: float) -> EntropySeen:
        """The newest entropy."""
        first = cast(EntropySeen, state).first
        return EntropySeen(first=signals.entropy_token if first is None else first, newest=signals.entropy_token)

    def factor(self, state: State) -> float:
        """g; 1 before any entropy was seen."""
        seen = cast(EntropySeen, state)
        if seen.first is None or seen.newest is None:
            return 1.0
        options = self._options
        floor = options.floor if options.floor_unit == "nats" else options.floor * seen.first
        factor = max(options.minimum, floor / (seen.newest + options.eps))
        return factor if options.maximum is None else min(options.maximum, factor)
