"""The learning rates of an update, where they follow a schedule."""

from safelab.training.components import Components
from safelab.training.state import TrainState


def set_rates(parts: Components, state: TrainState) -> None:
    """Give both optimisers the rates of the update to come: the schedule's share, times what rollbacks left of them.

    They depend on the update's number alone, so that a resumed run has those of the uninterrupted one.
    """
    share = parts.optimizer.lr_share(state.counters.update, parts.settings.updates)
    if share is None:
        return
    for optimizer in (state.optimizers.policy, state.optimizers.critic):
        for group in [] if optimizer is None else optimizer.param_groups:
            group["lr"] = group["initial_lr"] * state.recovery.lr_scale * share
