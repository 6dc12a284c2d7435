"""What each nested group of the controller must offer. Parts are pure: state in, state out, plain floats."""

from dataclasses import dataclass
from typing import Protocol

from safelab.options import State
from safelab.types import Signals


class Empty(State):
    """The state of a part that remembers nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A penalty as a function of the KL, at one KL: its value and its slope d value / d KL."""

    value: float
    slope: float


class Penalty(Protocol):
    """``controller/penalty``: how much a KL above, or beside, the threshold costs."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value and slope at ``kl`` (nats per response token)."""


class Part(Protocol):
    """Whatever a part remembers."""

    def init(self) -> State:
        """State before any signal."""

    def step(self, state: State, signals: Signals, kl: float) -> State:
        """State after one more observation; ``kl`` is the KL that the stack listens to."""


class Momentum(Part, Protocol):
    """``controller/momentum``: a penalty on growing KL."""

    def speed(self, state: State) -> float:
        """Growth of the KL per step."""

    def term(self, state: State) -> Term:
        """Value and slope with respect to the newest KL."""


class Gate(Part, Protocol):
    """``controller/gate``: multiplies the penalty."""

    def factor(self, state: State) -> float:
        """The multiplier."""


class Phase(Part, Protocol):
    """``controller/phase``: names the phase of training."""

    def phase(self, state: State) -> tuple[str, float]:
        """Name, and the multiplier of the threshold."""


class Threshold(Part, Protocol):
    """``controller/threshold``: the KL above which a penalty begins."""

    def threshold(self, state: State, multiplier: float) -> float:
        """In nats per response token; ``multiplier`` comes from the phase."""


class Coefficient(Part, Protocol):
    """``controller/coefficient``: the strength of the penalty."""

    def coef(self, state: State) -> float:
        """What multiplies the penalty."""


class Preview(Protocol):
    """``controller/preview``: the greatest KL that one update may cause."""

    max_kl: float | None
