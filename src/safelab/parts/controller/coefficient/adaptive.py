"""A coefficient that follows a KL target.

    e = clip(KL / target - 1, -error_clip, error_clip),   coef <- coef (1 + e n / horizon)

``unit: sequence`` compares the KL summed over a response (target 6 nats), ``unit: token`` the mean per token
(target 0.1 nats): against the wrong one the controller never reacts. n: responses of the batch.
Ref: Ziegler et al. 2019, arXiv 1909.08593, section 2.2 (sequence); verl's adaptive controller (token).
"""

from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Coefficient
from safelab.errors import ConfigError
from safelab.maths.feedback import ziegler_coef
from safelab.options import State
from safelab.types import Signals

Positive = Annotated[float, Field(gt=0)]


class CoefState(State):
    """The coefficient."""

    coef: float


class AdaptiveCoefficient(Coefficient[CoefState]):
    """``target`` in nats per ``unit``; ``horizon`` in responses."""

    initial: Positive
    unit: Literal["sequence", "token"]
    target: Positive
    horizon: Positive
    error_clip: Positive

    def init(self) -> CoefState:
        """The initial coefficient."""
        return CoefState(coef=self.initial)

    def step(self, state: CoefState, signals: Signals, kl: float) -> CoefState:
        """The coefficient after one batch."""
        measured = kl if self.unit == "token" else signals.kl_ref_seq_k1
        if measured is None or signals.n_sequences is None:
            raise ConfigError(
                "controller/coefficient=adaptive needs kl_ref_seq_k1 and n_sequences, which the signals lack"
            )
        return CoefState(
            coef=ziegler_coef(state.coef, measured, self.target, signals.n_sequences, self.horizon, self.error_clip)
        )

    def coef(self, state: CoefState) -> float:
        """The coefficient now."""
        return state.coef
