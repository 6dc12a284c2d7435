"""All that a run carries from update to update, in one value."""

from dataclasses import dataclass, field

from torch import nn

from safelab.contracts import Optimizers, Triage
from safelab.crash.detectors import DetectorState, detect_init
from safelab.options import State
from safelab.training.components import Components
from safelab.types import Rollout


class Counters(State):
    """``update``: the next one. ``cursor``: prompts drawn. ``episodes``, ``tokens``: responses, their tokens.

    ``votes``: of a preference oracle between responses.
    """

    update: int
    cursor: int
    episodes: int
    tokens: int
    votes: int = 0


class Rollback(State):
    """One time that the guard went back: ``update`` is where it objected, ``restored`` the first that was made again.

    The scales hold from then on: products of the guard's factors over all rollbacks so far.
    """

    number: int
    update: int
    restored: int
    reason: str
    lr_scale: float
    kl_coef_scale: float


class Recovery(State):
    """Every rollback of the run; the last one's scales are in force."""

    rollbacks: tuple[Rollback, ...] = ()

    @property
    def lr_scale(self) -> float:
        """What the learning rates have been multiplied by."""
        return self.rollbacks[-1].lr_scale if self.rollbacks else 1.0

    @property
    def kl_coef_scale(self) -> float:
        """What the KL penalty is multiplied by."""
        return self.rollbacks[-1].kl_coef_scale if self.rollbacks else 1.0


class Best(State):
    """Highest value of ``checkpoint.best`` at a checkpoint, and that checkpoint's update; None before the first."""

    value: float | None = None
    update: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """Weights, both optimisers, and every small state. Randomness is a function of seed and update: see ``seeding``.

    ``triage``: of the pairs, where the loss sorts them. ``pending``: rollouts that were written and not yet trained on,
    oldest first, where the rollout is stale.
    The modules and optimisers are torch's own and change in place; everything else is replaced.
    """

    policy: nn.Module
    critic: nn.Module
    optimizers: Optimizers
    controller: State
    shaping: State
    objective: State
    detectors: DetectorState
    counters: Counters
    recovery: Recovery
    best: Best
    triage: Triage = field(default_factory=Triage)
    pending: tuple[Rollout, ...] = ()


def initial_state(parts: Components) -> TrainState:
    """The state before the first update."""
    return TrainState(
        policy=parts.policy.module,
        critic=parts.critic.module,
        optimizers=parts.optimizer.make(parts.policy.module, parts.critic.module),
        controller=parts.controller.init(),
        shaping=parts.shaping.init(),
        objective=parts.objective.init(),
        detectors=detect_init(),
        counters=Counters(update=0, cursor=0, episodes=0, tokens=0),
        recovery=Recovery(),
        best=Best(),
    )
