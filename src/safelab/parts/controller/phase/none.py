"""No phases."""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.parts.controller._parts import Empty
from safelab.types import Signals


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "NoPhase":
    """The absent detector."""
    return NoPhase()


class NoPhase:
    """Multiplier 1."""

    def init(self) -> State:
        """Empty."""
        return Empty()

    def step(self, state: State, signals: Signals, kl: float) -> State:
        """Unchanged."""
        return state

    def phase(self, state: State) -> tuple[str, float]:
        """('none', 1)."""
        return "none", 1.0
