"""A coefficient that stays."""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.parts.controller._parts import Empty
from safelab.types import Signals


class Options(BaseOptions):
    """``value`` multiplies the penalty."""

    name: str
    value: Annotated[float, Field(ge=0)]


def build(options: Options, context: Context) -> "Fixed":
    """The coefficient."""
    return Fixed(options)


class Fixed:
    """Remembers nothing."""

    def __init__(self, options: Options) -> None:
        self._value = options.value

    def init(self) -> State:
        """Empty."""
        return Empty()

    def step(self, state: State, signals: Signals, kl: float) -> State:
        """Unchanged."""
        return state

    def coef(self, state: State) -> float:
        """The value."""
        return self._value
