"""A run on a rank that keeps no records: it follows the orders of the first."""

import torch

from safelab.errors import RankLost, RunFailed
from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint, recovery
from safelab.training.lifecycle.orders import Order
from safelab.training.state import initial_state
from safelab.training.updates import update_of


def assist(parts: Components) -> None:
    """Do what the first rank does, until it ends the run; nothing is written.

    Raises:
        RankLost: another process of the run is gone.
    """
    torch.set_num_threads(parts.settings.threads)
    state, update = initial_state(parts), update_of(parts)
    while (order := parts.ranks.told(Order(kind="end"))).kind != "end":
        if order.kind == "collect":
            checkpoint.collected(parts, state)
        elif order.path is None:
            try:
                with parts.ranks.failing_together():
                    state = update(parts, state).state
            except RankLost:
                raise
            except RunFailed:
                continue  # the first has failed likewise, and decides
        elif order.kind == "load":
            state = checkpoint.load(parts, state, order.path, *order.arguments)
        else:
            state = recovery.roll_back(parts, state, order.path, *order.arguments)
