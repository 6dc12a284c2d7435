"""``policy/adapter``: which weights of a loaded model train."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from safelab.contracts.part import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What an adapter makes of a model.

    ``trained`` is what the optimiser sees and what is saved; ``inner`` the ``transformers`` model that is read.
    ``reference`` is read inside ``as_reference()``: a copy of the starting weights, or the same weights with the
    adapter off. ``save`` and ``restore`` write and read the trained weights in the layout of their library.

    ``weights``: those that ``save`` writes, by name, for ``policy.sharding``: gathered from all ranks, they are given
    to ``save`` as ``state_dict``. None where it takes no such argument; then layers cannot be spread over ranks.

    ``after_update``: what is done to the weights when an update of the run is through, given its number and the
    policy's optimiser; it returns metrics. None: nothing.
    """

    trained: nn.Module
    inner: Any
    reference: Any
    as_reference: Callable[[], AbstractContextManager[None]]
    save: Callable[..., None]
    restore: Callable[[Path], None]
    weights: Callable[[], Mapping[str, Tensor]] | None = None
    after_update: Callable[[int, Optimizer], Mapping[str, float]] | None = None


class Adapter(Part, ABC):
    """``policy/adapter``: what trains, what is read, and what the frozen reference is."""

    @abstractmethod
    def adapt(self, module: Any, seed: int) -> Adapted:
        """Decide what of ``module``, a causal model of ``transformers``, trains; ``seed`` is the run's."""
