"""``guard=rollback``: from a row that the guard objects to, back to a checkpoint and on with other rates.

Every rollback is part of the state that the next checkpoint holds, with the rates it led to: a run that is killed after
one goes on from it, and one that is killed before it was saved goes wrong again and rolls back again, to the same rows.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from safelab.contracts import Remedy
from safelab.runlog.schema import ROLLBACK
from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint
from safelab.training.state import Recovery, Rollback, TrainState


def may_roll_back(parts: Components, state: TrainState) -> bool:
    """Whether the guard has a remedy, and has not used it up."""
    remedy = parts.guard.remedy
    return remedy is not None and len(state.recovery.rollbacks) < remedy.max_rollbacks


def to_go_back_to(checkpoints: Path, recovery: Recovery, update: int, every: int) -> Path | None:
    """The newest whole regular checkpoint that is older than the update that went wrong; None if there is none.

    Older, because a row is measured on the weights that a checkpoint of its own update holds: going back to those would
    bring the very same row, whatever the rates. Before update 0 there is only the start. Regular, because the others
    are there only where a run was interrupted, which must change no row. Where the last rollback went to this one, too,
    it was not far enough: then it is the one before, if that is still there.
    """

    def older_than(limit: int) -> Path | None:
        path, _ = checkpoint.newest(checkpoints, lambda made: made < limit and checkpoint.is_regular(made, every))
        return path

    path = older_than(max(1, update))
    if path is None or not recovery.rollbacks or checkpoint.update_of(path) != recovery.rollbacks[-1].restored:
        return path
    return older_than(checkpoint.update_of(path)) or path


def roll_back(parts: Components, state: TrainState, path: Path, update: int, reason: str) -> TrainState:
    """The state of a checkpoint, with one more rollback in its history and the rates that go with it.

    Args:
        parts: their guard has a remedy.
        state: whose history counts; its weights may be anything by now.
        path: the checkpoint.
        update: the one that went wrong.
        reason: how.
    """
    remedy = parts.guard.remedy
    assert remedy is not None
    back = checkpoint.load(parts, state, path)
    recovery = with_one_more(state.recovery, remedy, update, back.counters.update, reason)
    # The checkpoint may be older than an earlier rollback: its rates lack that one's factor, too.
    scale = recovery.lr_scale / back.recovery.lr_scale
    for _, optimizer in checkpoint.optimizers_of(back).values():
        for group in optimizer.param_groups:
            group["lr"] *= scale
    return replace(back, recovery=recovery)


def with_one_more(recovery: Recovery, remedy: Remedy, update: int, restored: int, reason: str) -> Recovery:
    """The history after another rollback."""
    latest = Rollback(
        number=len(recovery.rollbacks) + 1,
        update=update,
        restored=restored,
        reason=reason,
        lr_scale=recovery.lr_scale * remedy.lr_factor,
        kl_coef_scale=recovery.kl_coef_scale * remedy.kl_coef_factor,
    )
    return Recovery(rollbacks=(*recovery.rollbacks, latest))


def events(recovery: Recovery) -> list[dict[str, Any]]:
    """What ``events.jsonl`` says of each rollback."""
    return [{"update": one.update, "kind": ROLLBACK, **one.model_dump()} for one in recovery.rollbacks]
