"""``controller``: the KL penalty, as a whole and in its nested parts. All pure: state in, state out, plain floats."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal

from jaxtyping import Float
from torch import Tensor

from safelab.contracts.part import Part
from safelab.options import S, State
from safelab.types import Plan, Signals, TopK


class Reference(Part, ABC):
    """``controller/reference``: what the KL penalty is to.

    ``moves``: whether that is a second reference, which starts where the frozen one stays and follows the policy.
    """

    moves: ClassVar[bool] = False

    def share(self, updates: int) -> float:
        """How much of its way to the policy it goes after so many updates of the run: 0 none, 1 all of it."""
        return 0.0


class Route(Part, ABC):
    """``controller/route``: how the KL penalty reaches the policy.

    ``in_loss``: the mean of ``kl_tok`` over the response tokens, times the plan's ``kl_coef``, is added to the loss.
    ``in_reward``: ``kl_coef * kl_tok`` is subtracted from each token's reward. With neither, the KL is only logged.
    ``needs_exact``: ``kl_tok`` reads the exact KL with its gradient, so the reference takes part in every pass.
    ``known_bad``: why a run with this route is refused unless ``controller.allow_known_bad`` is true; None if sound.
    """

    in_loss: ClassVar[bool] = False
    in_reward: ClassVar[bool] = False
    needs_exact: ClassVar[bool] = False
    known_bad: ClassVar[str | None] = None

    @property
    def top_k(self) -> int | None:
        """Of how many of the policy's likeliest tokens ``kl_topk_tok`` makes the loss; None: ``kl_tok`` makes it."""
        return None

    def kl_topk_tok(
        self,
        topk: TopK,
        log_ratio_ref_tok: Float[Tensor, "b t"],
        log_ratio_tok: Float[Tensor, "b t"],
    ) -> Float[Tensor, "b t"]:
        """The KL to the reference at each response token, in nats, where the route has a ``top_k``.

        Args:
            topk: the ``top_k`` tokens, with the policy's gradient.
            log_ratio_ref_tok, log_ratio_tok: as ``kl_tok`` has them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no top_k")

    @abstractmethod
    def kl_tok(
        self,
        exact_tok: Float[Tensor, "b t"],
        log_ratio_ref_tok: Float[Tensor, "b t"],
        log_ratio_tok: Float[Tensor, "b t"],
    ) -> Float[Tensor, "b t"]:
        """The KL to the reference at each response token, in nats.

        Args:
            exact_tok: the KL over the whole vocabulary. Where it is not needed (no ``needs_exact``, or ``kl_coef`` 0),
                the caller may pass k1 instead.
            log_ratio_ref_tok: log pi - log pi_ref of the sampled token, with its gradient where the KL is in the loss.
            log_ratio_tok: log pi - log mu, mu the policy that sampled the tokens: the old one, a stale one, or another
                engine's. Without gradient in mu; where the KL is in the reward, pi is the old policy.
        """


class Controller(ABC, Generic[S]):
    """``controller``: decides threshold, gate and coefficient of the KL penalty. Pure: state in, state out.

    ``step_every``: when it hears signals: before the plan of the update whose rollout was measured (``rollout``), after
    that update (``update``), or after each of its passes (``epoch``). ``reference``: None for the frozen one.
    """

    route: Route
    reference: Reference | None = None
    step_every: Literal["rollout", "epoch", "update"]
    preview_max_kl: float | None

    @abstractmethod
    def init(self) -> S:
        """State before any signal."""

    @abstractmethod
    def step(self, state: S, signals: Signals) -> S:
        """State after one more observation."""

    @abstractmethod
    def plan(self, state: S) -> Plan:
        """What holds for the coming update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A penalty as a function of the KL, at one KL: its value and its slope d value / d KL."""

    value: float
    slope: float


class Penalty(Part, ABC):
    """``controller/penalty``: how much a KL above, or beside, the threshold costs."""

    @abstractmethod
    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value and slope at ``kl`` (nats per response token)."""


class Remembering(Part, ABC, Generic[S]):
    """A part of the controller with a state ``S`` of its own."""

    @abstractmethod
    def init(self) -> S:
        """State before any signal."""

    @abstractmethod
    def step(self, state: S, signals: Signals, kl: float) -> S:
        """State after one more observation; ``kl`` is the KL that the stack listens to."""


class Empty(State):
    """The state of a part that remembers nothing."""


class Forgetful(Remembering[Empty], ABC):
    """A part that remembers nothing."""

    def init(self) -> Empty:
        """Nothing."""
        return Empty()

    def step(self, state: Empty, signals: Signals, kl: float) -> Empty:
        """Nothing changes."""
        return state


class Momentum(Remembering[S]):
    """``controller/momentum``: a penalty on growing KL."""

    @abstractmethod
    def speed(self, state: S) -> float:
        """Growth of the KL per step."""

    @abstractmethod
    def term(self, state: S) -> Term:
        """Value and slope with respect to the newest KL."""


class Gate(Remembering[S]):
    """``controller/gate``: multiplies the penalty."""

    @abstractmethod
    def factor(self, state: S) -> float:
        """The multiplier."""


class Phase(Remembering[S]):
    """``controller/phase``: names the phase of training."""

    @abstractmethod
    def phase(self, state: S) -> tuple[str, float]:
        """Name, and the multiplier of the threshold."""


class Threshold(Remembering[S]):
    """``controller/threshold``: the KL above which a penalty begins."""

    @abstractmethod
    def threshold(self, state: S, multiplier: float) -> float:
        """In nats per response token; ``multiplier`` comes from the phase."""


class Coefficient(Remembering[S]):
    """``controller/coefficient``: the strength of the penalty."""

    @abstractmethod
    def coef(self, state: S) -> float:
        """What multiplies the penalty."""


class Preview(Part, ABC):
    """``controller/preview``: a cap on what one update changes."""

    @abstractmethod
    def limit(self) -> float | None:
        """The greatest KL from the policy before the update to the one after, in nats per token; None for any."""
