"""No gate."""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.parts.controller._parts import Empty
from safelab.types import Signals


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "NoGate":
    """The absent gate."""
    return NoGate()


class NoGate:
    """Factor 1."""

    def init(self) -> State:
        """Empty."""
        return Empty()

    def step(self, state: State, signals: Signals, kl: float) -> State:
        """Unchanged."""
        return state

    def factor(self, state: State) -> float:
        """One."""
        return 1.0
