"""A coefficient that follows a KL target.

    e = clip(KL / target - 1, -error_clip, error_clip),   coef <- coef (1 + e n / horizon)

``unit: sequence`` compares the KL summed over a response (target 6 nats), ``unit: token`` the mean per token
(target 0.1 nats): against the wrong one the controller never reacts. n: responses of the batch.
Ref: Ziegler et al. 2019, arXiv 1909.08593, section 2.2 (sequence); verl's adaptive controller (token).
"""

from typing import Annotated, Literal, cast

from pydantic import Field

from safelab.contracts import Context
from safelab.errors import ConfigError
from safelab.maths.feedback import ziegler_coef
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.types import Signals

Positive = Annotated[float, Field(gt=0)]


class Options(BaseOptions):
    """``target`` in nats per ``unit``; ``horizon`` in responses."""

    name: str
    initial: Positive
    unit: Literal["sequence", "token"]
    target: Positive
    horizon: Positive
    error_clip: Positive


class CoefState(State):
    """The coefficient."""

    coef: float


def build(options: Options, context: Context) -> "Adaptive":
    """The coefficient's controller."""
    return Adaptive(options)


class Adaptive:
    """Remembers the coefficient."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def init(self) -> CoefState:
        """The initial coefficient."""
        return CoefState(coef=self._options.initial)

    def step(self, state: State, signals: Signals, kl: float) -> CoefState:
        """The coefficient after one batch."""
        options = self._options
        measured = kl if options.unit == "token" else signals.kl_ref_seq_k1
        if measured is None or signals.n_sequences is None:
            raise ConfigError(
                "controller/coefficient=adaptive needs kl_ref_seq_k1 and n_sequences, which the signals lack"
            )
        old = cast(CoefState, state).coef
        new = ziegler_coef(old, measured, options.target, signals.n_sequences, options.horizon, options.error_clip)
        return CoefState(coef=new)

    def coef(self, state: State) -> float:
        """The coefficient now."""
        return cast(CoefState, state).coef
