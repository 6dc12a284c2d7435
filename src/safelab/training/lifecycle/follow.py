"""Following the loop: rows written as they come, checkpoints, the guard, the clock, signals."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from safelab.contracts import Mirror
from safelab.errors import DataError, Diverged, OutputFailed, RewardFailed, RunFailed, nearest
from safelab.runlog.durable import persistently
from safelab.runlog.lines import records_before, rows_before
from safelab.runlog.model_card import policy_card
from safelab.runlog.schema import CHECKPOINT_DIR, SAMPLES_FILE
from safelab.runlog.writer import RunWriter
from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint, orders, recovery
from safelab.training.lifecycle.interrupt import asked_to_stop
from safelab.training.lifecycle.mirrored import Mirrored
from safelab.training.lifecycle.orders import led_update
from safelab.training.lifecycle.owner import owner_of
from safelab.training.lifecycle.progress import Display, display, notice
from safelab.training.loop import Step, train_loop
from safelab.training.state import Best, TrainState

Ended = Literal["finished", "failed", "diverged", "interrupted"]

FAILED_BATCH = "failed_reward.json"
"""Beside ``run.json``: the prompts and responses for which no reward could be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How following a run ended: status, why, its last row. ``expected``: as ``limit.minutes`` asked.

    ``error``: what was raised, for whoever wants its traceback.
    """

    status: Ended
    reason: str | None
    row: Mapping[str, Any]
    expected: bool = False
    error: BaseException | None = None


def follow(parts: Components, state: TrainState, writer: RunWriter, mirror: Mirror) -> End:
    """Write down what the loop yields until it ends, the guard objects, the time is up, a signal comes, or it fails."""
    title = f"{shortened(parts.settings.arm)} seed {parts.settings.seed}"
    with asked_to_stop() as signal_name, display(title, state.counters.update, parts.settings.updates) as show:
        return Follower(parts, state, writer, mirror, signal_name, show).to_the_end()


class Follower:
    """One run on its way. ``state`` is that after the last row that was written, or of the last checkpoint."""

    def __init__(
        self,
        parts: Components,
        state: TrainState,
        writer: RunWriter,
        mirror: Mirror,
        signal_name: Callable[[], str | None],
        show: Display,
    ) -> None:
        self._parts = parts
        self._state = state
        self._writer = writer
        self._checkpoints = writer.directory / CHECKPOINT_DIR
        self._mirrored = Mirrored(
            mirror,
            parts,
            self._checkpoints,
            rows_before(writer.directory, state.counters.update),
            records_before(writer.directory / SAMPLES_FILE, state.counters.update),
        )
        self._signal_name = signal_name
        self._show = show
        self._began = time.monotonic()
        self._row: Mapping[str, Any] = {}

    def to_the_end(self) -> End:
        """From the state as it is to the run's end, through the rollbacks that the guard allows."""
        end = self._ended()
        self._mirrored.show(self._state, ended=end.status in ("finished", "diverged"))
        return end

    def _ended(self) -> End:
        try:
            if self._parts.guard.remedy is not None and not checkpoint.checkpoints_in(self._checkpoints):
                self._keep()  # so that there is one to go back to
            while True:
                try:
                    return self._updates()
                except Diverged as error:
                    reason = str(error)
                if (path := self._to_go_back_to()) is None:
                    return self._diverged(reason)
                self._roll_back(path, reason)
        except RunFailed as error:
            return End(status="failed", reason=str(error), row=self._row, error=error)

    def _updates(self) -> End:
        try:
            for step in train_loop(self._parts, self._state, led_update(self._parts)):
                if (end := self._after(step)) is not None:
                    return end
        except RewardFailed as error:
            return self._without_reward(error)
        return End(status="finished", reason=None, row=self._row)

    def _after(self, step: Step) -> End | None:
        """Write down one update; its End if it is the last for now.

        Raises:
            Diverged: the guard objects to it.
        """
        settings, row = self._parts.settings, step.row
        self._write(step)
        if (objection := self._parts.guard.verdict(row)) is not None:
            raise Diverged(objection)
        self._state = replace(step.state, best=self._state.best)  # the loop knows of no checkpoint
        done = step.state.counters.update
        reason = self._reason_to_stop()
        due = done == settings.updates or checkpoint.is_regular(done, settings.checkpoint.every)
        if due and settings.checkpoint.best is not None:
            self._state = replace(self._state, best=better(self._state, row[settings.checkpoint.best]))
        if due or reason:
            self._keep()
        self._mirrored.show(self._state)
        if reason and done < settings.updates:
            said = f"{reason} after update {row['update']}"
            return End(status="interrupted", reason=said, row=row, expected=self._signal_name() is None)
        return None

    def _write(self, step: Step) -> None:
        best = self._parts.settings.checkpoint.best
        if best is not None and not isinstance(step.row.get(best, ""), float | int | None):
            raise RunFailed(
                f"checkpoint.best must be a number in the rows of this run, got {best!r}: {nearest(best, step.row)}"
            )
        self._writer.row(step.row)
        self._writer.samples(step.row["update"], step.samples)
        for event in step.events:
            self._writer.event(event)
        self._mirrored.add(step.row, step.samples)
        self._show(step.row)
        self._row = step.row

    def _reason_to_stop(self) -> str | None:
        minutes = self._parts.settings.limit.minutes
        late = minutes is not None and time.monotonic() - self._began >= 60 * minutes
        return self._signal_name() or (f"limit.minutes={minutes:g} was reached" if late else None)

    def _keep(self) -> None:
        """Save the state; its rows reach the disk first."""
        self._writer.sync()
        gathered = orders.collected(self._parts, self._state)
        persistently(self._checkpoints, lambda: self._save(gathered), notice)

    def _save(self, gathered: checkpoint.Collected) -> None:
        directory, info = self._writer.directory, self._writer.info
        try:
            card = policy_card(directory, self._state.counters.update)
        except DataError as error:
            raise OutputFailed(f"the run's own files were changed under it: {error}") from error
        checkpoint.save(self._parts, self._state, self._checkpoints, card, owner_of(info), gathered)

    def _to_go_back_to(self) -> Path | None:
        if not recovery.may_roll_back(self._parts, self._state):
            return None
        state, every = self._state, self._parts.settings.checkpoint.every
        return recovery.to_go_back_to(self._checkpoints, state.recovery, state.counters.update, every)

    def _roll_back(self, path: Path, reason: str) -> None:
        """Back to a checkpoint; it is saved with the new rates before the rows after it are cut."""
        at = self._state.counters.update
        self._state = orders.roll_back(self._parts, self._state, path, at, reason)
        self._row = {}
        self._keep()
        self._writer.rewind(self._state.counters.update, recovery.events(self._state.recovery))
        self._mirrored.cut(self._state.counters.update)
        latest = self._state.recovery.rollbacks[-1]
        notice(
            f"rollback {latest.number}: {reason}; on from update {latest.restored} with {latest.lr_scale:g} times the "
            f"learning rates and {latest.kl_coef_scale:g} times the KL penalty"
        )

    def _diverged(self, reason: str) -> End:
        rollbacks = len(self._state.recovery.rollbacks)
        said = f"{reason}, after {rollbacks} rollbacks" if rollbacks else reason
        self._writer.event({"update": self._state.counters.update, "kind": "guard", "reason": said})
        return End(status="diverged", reason=said, row=self._row)

    def _without_reward(self, error: RewardFailed) -> End:
        # Nothing has moved since the last update, so what was trained is kept, with the batch to look at.
        goes_on = "begins anew"
        if self._state.counters.update > 0:
            self._keep()
            goes_on = "goes on from the last update (with resume.allow, as it will say, if code of yours has changed)"
        self._writer.text(FAILED_BATCH, json.dumps(error.batch, indent=1) + "\n")
        said = f"{error}; the batch is in {FAILED_BATCH}, and the same command {goes_on}"
        return End(status="failed", reason=said, row=self._row, error=error)


def better(state: TrainState, value: float | None) -> Best:
    """The best checkpoint so far, the one that is about to be written included; the first of equal ones stands."""
    before = state.best
    if value is None or not value > (float("-inf") if before.value is None else before.value):
        return before
    return Best(value=value, update=state.counters.update)


def shortened(arm: str, width: int = 40) -> str:
    """An arm's name for a line on the terminal."""
    return arm if len(arm) <= width else f"{arm[: width - 1]}…"
