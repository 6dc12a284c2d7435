"""The learning rates of an update, where they follow a schedule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from safelab.contracts import Context, OptimizerFactory
from safelab.plugins import build_option, faults
from safelab.training.components import Components
from safelab.training.state import TrainState


def set_rates(parts: Components, state: TrainState) -> None:
    """Give both optimisers the rates of the update to come: the schedule's share, times what rollbacks left of them.

    They depend on the update's number and on how many the run is to have, so that a resumed run has the rates of the
    uninterrupted one as long as ``updates`` stays: see ``follow_updates``.
    """
    share = parts.optimizer.lr_share(state.counters.update, parts.settings.updates)
    if share is None:
        return
    for optimizer in (state.optimizers.policy, state.optimizers.critic):
        for group in [] if optimizer is None else optimizer.param_groups:
            group["lr"] = group["initial_lr"] * state.recovery.lr_scale * share


def follow_updates(optimizer: Mapping[str, Any]) -> bool:
    """Whether another number of updates makes other rates, also of the updates that are there.

    Args:
        optimizer: the options of a run's optimiser; where they are wrong, that is told with all other options' faults.
    """
    if faults("optimizer", optimizer):
        return False
    context = Context(seed=0, device=torch.device("cpu"), cache=Path())
    made: OptimizerFactory = build_option("optimizer", optimizer, context)
    return made.lr_share(0, 1) is not None
