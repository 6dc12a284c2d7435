"""What the first rank of a run, which keeps its records, tells the others to do with it: one thing after the other.

The first rank gives each order and then does the same itself, so that all meet in the same exchanges.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint, recovery
from safelab.training.loop import Step
from safelab.training.state import TrainState
from safelab.training.updates import update_of

Update = Callable[[Components, TrainState], Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """``update``: train one more. ``load``, ``back``: take the state of the checkpoint at ``path``. ``end``: go.

    ``collect``: gather on the first rank what lies in parts, for a checkpoint.

    ``arguments``: what the function that does it needs besides.
    """

    kind: Literal["update", "load", "back", "collect", "end"]
    path: Path | None = None
    arguments: tuple[Any, ...] = ()


def led_update(parts: Components) -> Update:
    """What an update of this run is, with all ranks in it."""
    update = update_of(parts)

    def on_all(parts: Components, state: TrainState) -> Step:
        parts.ranks.told(Order(kind="update"))
        with parts.ranks.failing_together(), _noticing_loss(parts):
            return update(parts, state)

    return on_all


@contextmanager
def _noticing_loss(parts: Components) -> Iterator[None]:
    """Say that a rank is gone where exchanges fail that are not ours: those inside a sharded model."""
    try:
        yield
    except RuntimeError as error:
        if parts.ranks.lost() is not None:
            raise parts.ranks.loss() from error
        raise


def collected(parts: Components, state: TrainState) -> checkpoint.Collected:
    """``checkpoint.collected`` on all ranks, where the others hold something of it."""
    if not parts.policy.sharded:
        return checkpoint.collected(parts, state)
    parts.ranks.told(Order(kind="collect"))
    with _noticing_loss(parts):
        return checkpoint.collected(parts, state)


def load(parts: Components, state: TrainState, path: Path, saved_rates: bool = True) -> TrainState:
    """``checkpoint.load`` on all ranks."""
    parts.ranks.told(Order(kind="load", path=path.absolute(), arguments=(saved_rates,)))
    return checkpoint.load(parts, state, path, saved_rates)


def roll_back(parts: Components, state: TrainState, path: Path, update: int, reason: str) -> TrainState:
    """``recovery.roll_back`` on all ranks."""
    parts.ranks.told(Order(kind="back", path=path.absolute(), arguments=(update, reason)))
    return recovery.roll_back(parts, state, path, update, reason)


def end(parts: Components) -> None:
    """The other ranks may go."""
    parts.ranks.told(Order(kind="end"))
