"""Running normalisation, mended: unbiased, and a batch is measured on the scale of those before it."""

from collections.abc import Sequence

from safelab.maths.normalise import RunningState, running_init, running_step
from safelab.parts.shaping.normaliser._running import Running


class RunningUnbiased(Running):
    """See ``maths.normalise.running_step``."""

    def init(self) -> RunningState:
        """State before any reward was seen."""
        return running_init()

    def advance(self, state: RunningState, rewards: Sequence[float]) -> tuple[RunningState, list[float]]:
        """Next state and normalised rewards."""
        return running_step(state, rewards, self.eps)
