"""What must be finite before a weight moves, and before it is written down."""

import math

from torch import Tensor

from safelab.errors import Diverged
from safelab.maths.fetched import fetched
from safelab.maths.masked import only
from safelab.maths.wide import wide
from safelab.ranks import check_same
from safelab.training.components import Components
from safelab.training.state import TrainState
from safelab.types import Plan, TrainBatch

REMEDIES = {
    "policy": "look at the objective, or lower optimizer.lr",
    "value": "look at the critic, or lower optimizer.critic_lr",
    "kl": "look at the controller's route, or lower optimizer.lr",
}
"""What may help where a term of the loss is the first that is not finite."""


def refuse_non_finite(name: str, value: float, update: int, remedy: str | None = None) -> None:
    """Let a finite value pass. ``remedy``: what to do about another; None: what ``REMEDIES`` says.

    Raises:
        Diverged: it is not.
    """
    if not math.isfinite(value):
        said = remedy or REMEDIES.get(name, "all that it is made of was finite: lower optimizer.lr")
        raise Diverged(f"{name} must be finite, got {value} at update {update}; {said}")


def check_plan(plan: Plan, update: int) -> None:
    """See that every number of a controller's plan is finite.

    Raises:
        Diverged: one is not; the first is named, each before those that are made of it.
    """
    for name in ("kl_short", "kl_long", "threshold", "momentum", "gate", "penalty", "kl_coef"):
        refuse_non_finite(f"the controller's {name}", getattr(plan, name), update, "look at the controller's parts")


def check_batch(batch: TrainBatch, shaped_seq: Tensor, update: int) -> None:
    """See that all that an update learns from is finite; what the masks leave out does not matter.

    Raises:
        Diverged: something is not; the first is named, each before those that are made of it.
    """
    measured = {
        "the policy's log-probability": (only(batch.logp_old_tok, batch.mask), "look at the policy's weights"),
        "the reference's log-probability": (only(batch.logp_ref_tok, batch.mask), "look at the reference's weights"),
        "the critic's value": (batch.heads_old, "look at the critic"),
        "the shaped reward": (shaped_seq, "look at the shaping"),
        "the advantage": (only(batch.advantage_tok, batch.mask), "look at the advantage"),
        "the critic's target": (only(batch.returns, batch.value_mask), "look at the advantage, which makes it"),
    }
    sums = fetched({name: wide(value).sum() for name, (value, _) in measured.items()})
    for name, (_, remedy) in measured.items():
        refuse_non_finite(name, sums[name], update, remedy)


def check_weights(parts: Components, state: TrainState) -> None:
    """See that every weight that trains, or follows one, is finite after the last step, before it is written down.

    Raises:
        Diverged: one is not.
        RunFailed: the ranks of a run have other weights.
    """
    trained = {
        "policy's weights": [weight for weight in state.policy.parameters() if weight.requires_grad],
        "critic's weights": [*state.critic.parameters()],
        "critic's target": [] if parts.critic.target is None else [*parts.critic.target.parameters()],
    }
    norms = fetched({name: parts.ranks.norm(weights) for name, weights in trained.items() if weights})

    def check() -> None:
        for name, norm in norms.items():
            refuse_non_finite(f"the norm of the {name}", norm, state.counters.update)

    parts.ranks.agreed(check)  # on one rank alone it would leave the others waiting for it
    check_same(parts.ranks, "the norm of the weights", [*norms.values()])
