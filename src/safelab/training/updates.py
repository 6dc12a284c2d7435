"""What an update of a run is: one of the three ways from its data to a row."""

from collections.abc import Callable

from safelab.contracts import Perturbing
from safelab.training.components import Components
from safelab.training.loop import Step, train_update
from safelab.training.offline.loop import offline_update
from safelab.training.state import TrainState
from safelab.training.zeroth.loop import zeroth_update


def update_of(parts: Components) -> Callable[[Components, TrainState], Step]:
    """By a loss on rollouts, by one on pairs, or by votes on rollouts of perturbed policies."""
    if parts.preference is not None:
        return offline_update
    return zeroth_update if isinstance(parts.optimizer, Perturbing) else train_update
