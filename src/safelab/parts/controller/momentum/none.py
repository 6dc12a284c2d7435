"""No penalty on growing KL."""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.parts.controller._parts import Empty, Term
from safelab.types import Signals


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "NoMomentum":
    """The absent term."""
    return NoMomentum()


class NoMomentum:
    """Remembers nothing."""

    def init(self) -> State:
        """Empty."""
        return Empty()

    def step(self, state: State, signals: Signals, kl: float) -> State:
        """Unchanged."""
        return state

    def speed(self, state: State) -> float:
        """Zero."""
        return 0.0

    def term(self, state: State) -> Term:
        """Zero."""
        return Term(value=0.0, slope=0.0)
