"""Running normalisation as SAFE's released code has it: updated before use, batch variance overweighted."""

from collections.abc import Sequence

from safelab.maths.normalise import RunningState, released_init, released_step
from safelab.parts.shaping.normaliser._running import Running


class RunningReleased(Running):
    """See ``maths.normalise.released_step``."""

    def init(self) -> RunningState:
        """State before any reward was seen."""
        return released_init()

    def advance(self, state: RunningState, rewards: Sequence[float]) -> tuple[RunningState, list[float]]:
        """Next state and normalised rewards."""
        return released_step(state, rewards, self.eps)
