"""Writing beside training: one rollout is written while the policy is trained on an older one.

With ``rollout.staleness`` 1 or more and a sampler on devices of its own (``Sampler.beside``), the rollout that a later
update trains on is written in a thread, by the weights of this update's beginning, and is there when the update ends. A
state is therefore whole between updates: no checkpoint, signal or rollback meets a rollout that is half written. Which
weights write what is as in the order one after the other, and so is every row.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any

from safelab.errors import ConfigError
from safelab.training import rollouts
from safelab.training.clock import BESIDE, WAIT, Clock
from safelab.training.components import Components
from safelab.training.state import TrainState
from safelab.types import Rollout


class Aside:
    """A rollout on its way, or none. As a context it leaves no thread behind, whatever ends the update.

    Args:
        write: what the thread does: it writes this rank's rows.
        finish: what is done with them afterwards, in the thread of whoever waits.
        stop: breaks the writing off.
    """

    def __init__(
        self,
        write: Callable[[], Rollout] | None = None,
        finish: Callable[[Callable[[], Rollout]], Rollout] = lambda written: written(),
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._finish, self._stop = finish, stop
        self._written: Future[Rollout] = Future()
        self._seconds = 0.0
        self._thread: threading.Thread | None = None
        if write is not None:
            # A daemon, so that a third Ctrl-C ends the process even where the engine does not answer.
            self._thread = threading.Thread(
                target=self._run, args=(write,), name="rollout beside training", daemon=True
            )
            self._thread.start()

    def __enter__(self) -> "Aside":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread; where the process is told to end at once, break the writing off first."""
        if self._thread is None:
            return
        if kind is not None and not issubclass(kind, Exception):
            self._stop()
        self._thread.join()

    def joined(self, parts: Components, state: TrainState, clock: Clock) -> TrainState:
        """The state with the rollout among those that wait; ``clock`` is told how long it took and was waited for.

        Raises:
            SafelabError: what the writing raised, on this rank or another.
        """
        if self._thread is None:
            return state
        with clock.span(WAIT):
            self._thread.join()
        clock.spans[BESIDE] = self._seconds
        return rollouts.waiting(parts, state, self._finish(self._written.result))

    def _run(self, write: Callable[[], Rollout]) -> None:
        began = time.perf_counter()
        try:
            self._written.set_result(write())
        except BaseException as error:  # noqa: BLE001 (it is raised again by who waits)
            self._written.set_exception(error)
        self._seconds = time.perf_counter() - began


def begun(parts: Components, state: TrainState) -> tuple[TrainState, Rollout, Aside]:
    """``rollouts.next_rollout``, its last one perhaps still on the way; nothing waits for that one but the state."""
    lag = parts.rollout.staleness

    def handed_over() -> Any:
        with parts.rollout.within(parts.policy):
            return parts.rollout.beside(parts.policy)

    sampler = parts.ranks.agreed(handed_over) if 0 < lag >= len(state.pending) else None
    if sampler is None:
        return *rollouts.next_rollout(parts, state), Aside()
    # The weights are handed over by now, and may move.
    state, prompts, number = rollouts.drawn(parts, rollouts.filled(parts, state, lag))
    aside = Aside(
        write=lambda: rollouts.written(parts, sampler, prompts, number),
        finish=lambda written: rollouts.gathered(parts, prompts, told(parts.ranks.agreed(written))),
        stop=parts.rollout.close,
    )
    return replace(state, pending=state.pending[1:]), state.pending[0], aside


def told(rollout: Rollout) -> Rollout:
    """A rollout that says what its writer thought of its tokens, which nobody can find out any more.

    Raises:
        ConfigError: it does not.
    """
    if rollout.logp_rollout_tok is None:
        raise ConfigError(
            "rollout must give logp_rollout_tok where it writes beside training, got none: its beside() must return a "
            "sampler that does, or None"
        )
    return rollout
