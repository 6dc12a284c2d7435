"""A penalty on a KL that grows over a window.

    m = (K_t - K_{t - lag}) / divisor,   M = coef max(0, m)^2,   dM/dK_t = 2 coef max(0, m) / divisor

Zero until ``lag + 1`` observations are there. The released code has lag 49 and divisor 50, off by one.
Ref: SAFE, arXiv 2602.04651; its released ``AsymmetricKLController``.
"""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Momentum, Term
from safelab.options import State
from safelab.types import Signals


class History(State):
    """The last ``lag + 1`` KLs, oldest first."""

    kls: tuple[float, ...]


class Windowed(Momentum[History]):
    """``lag`` and ``divisor`` in controller steps."""

    coef: Annotated[float, Field(ge=0)]
    lag: Annotated[int, Field(ge=1)]
    divisor: Annotated[int, Field(ge=1)]

    def init(self) -> History:
        """No KL yet."""
        return History(kls=())

    def step(self, state: History, signals: Signals, kl: float) -> History:
        """One more KL, the oldest dropped."""
        return History(kls=(*state.kls, kl)[-(self.lag + 1) :])

    def speed(self, state: History) -> float:
        """m, in nats per token per step; 0 while the window fills."""
        if len(state.kls) <= self.lag:
            return 0.0
        return (state.kls[-1] - state.kls[0]) / self.divisor

    def term(self, state: History) -> Term:
        """M and dM/dK."""
        growth = max(0.0, self.speed(state))
        return Term(value=self.coef * growth**2, slope=2 * self.coef * growth / self.divisor)
