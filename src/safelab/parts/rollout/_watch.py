"""Waiting for an engine in processes of its own: what it raises becomes one message, and so does its death."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any, Protocol, TypeVar

from safelab.errors import EngineFailed, SafelabError
from safelab.foreign import told

LOOK_S = 0.5
"""Seconds between looks at the processes."""

GRACE_S = 5.0
"""Seconds that a call has to end by itself once a process is gone."""

REMEDY = "the same command goes on from the last checkpoint; rollout=hf needs no engine"

T = TypeVar("T")


class Process(Protocol):
    """What is asked of a ``multiprocessing.Process``."""

    @property
    def exitcode(self) -> int | None:
        """None while it runs."""

    def terminate(self) -> None:
        """Ask it to end."""


class Watch:
    """Does calls in a thread, and looks after the engine's processes meanwhile.

    vLLM 0.29 to 0.32 wait for ever where the engine's process is killed in the middle of a call: ``SyncMPClient`` ends
    the thread that would tell (``v1/engine/core_client.py``), and the caller waits for a queue. That call's thread is
    left behind then; it is a daemon, and ends with this process.
    """

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self._closed = False

    def __call__(self, what: str, call: Callable[[], T]) -> T:
        """What ``call`` gives; ``what`` it does, as a message names it.

        Raises:
            EngineFailed: it raised, or a process of the engine's is gone.
        """
        future: Future[T] = Future()
        threading.Thread(target=_fill, args=(future, call), name=f"engine: {what}", daemon=True).start()
        while not wait([future], LOOK_S).done:
            if self._gone() is not None:
                wait([future], GRACE_S)
                break
        error = future.exception() if future.done() else None
        if future.done() and error is None:
            return future.result()
        if isinstance(error, SafelabError):
            raise error
        raise EngineFailed(f"vLLM's engine could not {what}: {self._reason(error)}; {REMEDY}") from error

    def close(self) -> None:
        """End the processes; a call that waits for them ends with a message."""
        self._closed = True
        for process in self._processes:
            process.terminate()

    def _gone(self) -> int | None:
        """The exit code of a process that has ended; None while all run."""
        return next((process.exitcode for process in self._processes if process.exitcode is not None), None)

    def _reason(self, error: BaseException | None) -> str:
        if self._closed:
            return "it was ended"
        code, said = self._gone(), "" if error is None else f"{told(error)}; what it reported stands above"
        if code is None:
            return said
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"its process {how}" + (f" ({said})" if said else "")


def _fill(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 (it is raised again where it is waited for)
        future.set_exception(error)
