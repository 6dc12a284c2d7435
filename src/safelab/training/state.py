"""All that a run carries from update to update, in one value."""

from dataclasses import dataclass

from torch import nn

from safelab.contracts import Optimizers
from safelab.maths.detectors import DetectorState, detect_init
from safelab.options import State
from safelab.training.components import Components
from safelab.types import Rollout


class Counters(State):
    """``update``: the next one. ``cursor``: prompts drawn. ``episodes``, ``tokens``: responses, their tokens."""

    update: int
    cursor: int
    episodes: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """Weights, both optimisers, and every small state. Randomness is a function of seed and update: see ``seeding``.

    ``pending``: rollouts that were written and not yet trained on, oldest first, where the rollout is stale.
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
    )
