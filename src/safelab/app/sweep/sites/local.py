"""On this machine: each job in a process forked from a server that has imported everything already."""

import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from safelab.app.config.jobs import Job, gpus_in_all, threads_in_all
from safelab.app.config.threads import cores
from safelab.app.sweep.fork_server import CONTEXT, warm
from safelab.app.sweep.sites.site import Ending, last_lines
from safelab.app.sweep.worker import LOG_FILE, JobEnd, do
from safelab.errors import ConfigError

GRACE_S = 10.0
"""Seconds that a job's process may take to end after its last word, before what it has started is killed with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A job that is running. ``lifeline`` is open as long as we live."""

    number: int
    job: Job
    gpu: str | None
    process: ForkServerProcess
    answer: Connection
    lifeline: Connection
    early_log: Path


class LocalSite:
    """A ``Site`` with as many places as ``slots``: the GPU or GPUs of each place, None for one without its own."""

    begun = "started"

    def __init__(self, slots: Sequence[str | None]) -> None:
        warm()
        self._free = deque(slots)
        self._running: list[Child] = []
        self._scratch = tempfile.TemporaryDirectory(prefix="safelab-")

    def start(self, waiting: Sequence[tuple[int, Job]]) -> int:
        """One in each free place."""
        taken = waiting[: len(self._free)]
        for number, job in taken:
            self._start(number, job)
        return len(taken)

    def _start(self, number: int, job: Job) -> None:
        gpu, early_log = self._free.popleft(), Path(self._scratch.name, f"{number}.txt")
        answer, send = CONTEXT.Pipe(duplex=False)
        alive, lifeline = CONTEXT.Pipe(duplex=False)
        # Not daemonic: such a process may have no children, and a job may be several processes, or start an engine.
        process = CONTEXT.Process(target=work, args=(job, gpu, early_log, send, alive), daemon=False)
        process.start()
        send.close()
        alive.close()
        self._running.append(
            Child(
                number=number, job=job, gpu=gpu, process=process, answer=answer, lifeline=lifeline, early_log=early_log
            )
        )

    def ended(self, seconds: float | None) -> Sequence[Ending]:
        """Those that have said their last word, and those whose process is gone without one."""
        watched: dict[object, Child] = {
            one: child for child in self._running for one in (child.answer, child.process.sentinel)
        }
        ready = wait([*watched], seconds)  # type: ignore[list-item]
        return [self._collect(child) for child in {watched[one].number: watched[one] for one in ready}.values()]

    def stop(self, insist: bool) -> None:
        """A signal to each; what a job has started hears of it from the job, or ends with it."""
        for child in self._running:
            if child.process.is_alive() and child.process.pid is not None:
                os.kill(child.process.pid, signal.SIGKILL if insist else signal.SIGINT)

    def close(self) -> None:
        """Whoever still runs finds its lifeline closed."""
        for child in self._running:
            child.lifeline.close()
        self._scratch.cleanup()

    def _collect(self, child: Child) -> Ending:
        self._running.remove(child)
        end: JobEnd | None = None
        with suppress(EOFError):  # it ended without one
            end = child.answer.recv() if child.answer.poll() else None
        child.process.join(None if end is None else GRACE_S)
        if child.process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):  # nothing is left of its group, as it should be
                os.killpg(child.process.pid, signal.SIGKILL)
        child.process.join()
        child.lifeline.close()
        self._free.append(child.gpu)
        output = last_lines(child.early_log, child.job.directory / LOG_FILE)
        cause = cause_of_death(child.process.exitcode, output)
        return Ending(number=child.number, end=end, cause=cause, output=output)


def work(job: Job, gpu: str | None, log: Path, answer: Connection, lifeline: Connection) -> None:
    """In the job's process: run it and send its JobEnd; an unexpected exception leaves its traceback in the log.

    Args:
        job: what to run; it was checked before.
        gpu: the only GPU that the job may see, or a GPU for each of its processes; None leaves them as they are.
        log: where output goes until the run has a directory.
        answer: receives the JobEnd.
        lifeline: closes when the parent ends.
    """
    os.setpgrp()  # Ctrl-C in the terminal reaches the parent alone, which tells each job once
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    try:
        end = do(job, log)
        with suppress(BrokenPipeError):  # the parent is gone
            answer.send(end)
    finally:
        # What the job has started ends with it, as its group, of which it leaves itself out.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


def _end_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv()
    except EOFError:
        os.kill(os.getpid(), signal.SIGINT)


def cause_of_death(code: int | None, output: Sequence[str]) -> str:
    """Why a process ended that had no last word, by its exit code and what it wrote."""
    if code is not None and code < 0:
        hint = ", out of memory perhaps" if -code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"
    return output[-1] if output else f"its process ended with code {code} and said nothing"


def slots_for(jobs: Sequence[Job], workers: int | None) -> list[str | None]:
    """Places for jobs: GPUs for all processes of one, where they use GPUs, else as many as their threads fit the cores.

    GPUs that are left over, too few for a job, stay idle.

    Raises:
        ConfigError: no job has GPUs enough.
    """
    import torch

    devices = {job.config["device"] for job in jobs}
    gpus: list[str] = []
    if devices & {"auto", "cuda"} and torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    if gpus:
        each = max(map(gpus_in_all, jobs))
        shares = [",".join(gpus[first : first + each]) for first in range(0, len(gpus) - each + 1, each)]
        if not shares:
            raise ConfigError(f"a job must need no more than the {len(gpus)} GPUs of this machine, got one of {each}")
        return [shares[index % len(shares)] for index in range(workers or len(shares))]
    threads = max(map(threads_in_all, jobs))
    on_one_gpu = any(device == "mps" or device.startswith("cuda:") for device in devices)
    return [None] * (workers or (1 if on_one_gpu else max(1, cores() // threads)))
