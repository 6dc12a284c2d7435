"""A threshold that only the phase moves: tau = base * phase multiplier."""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.parts.controller._parts import Empty
from safelab.types import Signals


class Options(BaseOptions):
    """``base``: nats per response token."""

    name: str
    base: Annotated[float, Field(ge=0)]


def build(options: Options, context: Context) -> "Fixed":
    """The threshold."""
    return Fixed(options)


class Fixed:
    """Remembers nothing."""

    def __init__(self, options: Options) -> None:
        self._base = options.base

    def init(self) -> State:
        """Empty."""
        return Empty()

    def step(self, state: State, signals: Signals, kl: float) -> State:
        """Unchanged."""
        return state

    def threshold(self, state: State, multiplier: float) -> float:
        """Base * multiplier."""
        return self._base * multiplier
