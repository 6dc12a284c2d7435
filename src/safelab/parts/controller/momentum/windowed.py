"""A penalty on a KL that grows over a window.

    m = (K_t - K_{t - lag}) / divisor,   M = coef max(0, m)^2,   dM/dK_t = 2 coef max(0, m) / divisor

Zero until ``lag + 1`` observations are there. The released code has lag 49 and divisor 50, off by one.
Ref: SAFE, arXiv 2602.04651; its released ``AsymmetricKLController``.
"""

from typing import Annotated, cast

from pydantic import Field

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.parts.controller._parts import Term
from safelab.types import Signals


class Options(BaseOptions):
    """``lag`` and ``divisor`` in controller steps."""

    name: str
    coef: Annotated[float, Field(ge=0)]
    lag: Annotated[int, Field(ge=1)]
    divisor: Annotated[int, Field(ge=1)]


class History(State):
    """The last ``lag + 1`` KLs, oldest first."""

    kls: tuple[float, ...]


def build(options: Options, context: Context) -> "Windowed":
    """The term."""
    return Windowed(options)


class Windowed:
    """Remembers a window of KLs."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def init(self) -> History:
        """No KL yet."""
        return History(kls=())

    def step(self, state: State, signals: Signals, kl: float) -> History:
        """One more KL, the oldest dropped."""
        return History(kls=(*cast(History, state).kls, kl)[-(self._options.lag + 1) :])

    def speed(self, state: State) -> float:
        """m, in nats per token per step; 0 while the window fills."""
        kls = cast(History, state).kls
        if len(kls) <= self._options.lag:
            return 0.0
        return (kls[-1] - kls[0]) / self._options.divisor

    def term(self, state: State) -> Term:
        """M and dM/dK."""
        growth = max(0.0, self.speed(state))
        return Term(value=self._options.coef * growth**2, slope=2 * self._options.coef * growth / self._options.divisor)
