"""Jobs of a sweep side by side, each in a process forked from a server that has imported everything already."""

import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from safelab.app.config.jobs import Job
from safelab.app.config.threads import cores
from safelab.app.sweep.fork_server import CONTEXT, warm
from safelab.app.sweep.worker import LOG_FILE, JobEnd, work
from safelab.errors import printable, printable_lines

TAIL_LINES = 15
"""Lines of its output that are shown of a job that failed."""

LAST_CALL_S = 10.0
"""Seconds that jobs have to go after a second Ctrl-C."""


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
    started: float


def run_all(jobs: Sequence[Job], slots: Sequence[str | None]) -> list[JobEnd]:
    """Run every job, as many at once as there are slots, and say of each when it starts and how it ends.

    Args:
        jobs: checked already; those that are finished are passed over.
        slots: the GPU of each place where a job may run, None for a place without one of its own.

    Returns:
        How each job ended, in their order.
    """
    ends: dict[int, JobEnd] = {}
    for number, job in enumerate(jobs):
        if _is_done(job):
            _say(number, jobs, f"finished already: {job.directory}")
            ends[number] = JobEnd(failure=None, final_reward=None)
    waiting = deque(number for number in range(len(jobs)) if number not in ends)
    if waiting:
        warm()
        with tempfile.TemporaryDirectory(prefix="safelab-") as scratch:
            ends |= _run(jobs, waiting, deque(slots), Path(scratch))
    return [ends[number] for number in range(len(jobs))]


def _run(jobs: Sequence[Job], waiting: deque[int], free: deque[str | None], scratch: Path) -> dict[int, JobEnd]:
    """The jobs ``waiting`` by number, each in the next free slot; on Ctrl-C those that run are stopped."""
    ends: dict[int, JobEnd] = {}
    running: dict[object, Child] = {}
    try:
        while waiting or running:
            while waiting and free:
                number = waiting.popleft()
                _say(number, jobs, "started")
                child = _start(number, jobs[number], free.popleft(), scratch / f"{number}.txt")
                running[child.answer] = child
            for ready in wait([child.answer for child in running.values()]):
                child = running.pop(ready)
                ends[child.number] = _collect(child, jobs)
                free.append(child.gpu)
    except KeyboardInterrupt:
        _stop(list(running.values()))
        raise
    return ends


def slots_for(jobs: Sequence[Job], workers: int | None) -> list[str | None]:
    """Places for jobs: one per visible GPU where they use GPUs, else as many as ``threads`` fit into the cores."""
    import torch

    devices = {job.config["device"] for job in jobs}
    gpus: list[str] = []
    if devices & {"auto", "cuda"} and torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    if gpus:
        return [gpus[index % len(gpus)] for index in range(workers or len(gpus))]
    threads = max(job.config["threads"] for job in jobs)
    on_one_gpu = any(device == "mps" or device.startswith("cuda:") for device in devices)
    return [None] * (workers or (1 if on_one_gpu else max(1, cores() // threads)))


def _is_done(job: Job) -> bool:
    from safelab.app.config.build import settings_of
    from safelab.training.lifecycle.run import is_finished

    return is_finished(settings_of(job.config))


def _start(number: int, job: Job, gpu: str | None, early_log: Path) -> Child:
    answer, send = CONTEXT.Pipe(duplex=False)
    alive, lifeline = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=work, args=(job, gpu, early_log, send, alive), daemon=True)
    process.start()
    send.close()
    alive.close()
    return Child(
        number=number, job=job, gpu=gpu, process=process, answer=answer, lifeline=lifeline,
        early_log=early_log, started=time.monotonic(),
    )  # fmt: skip


def _collect(child: Child, jobs: Sequence[Job]) -> JobEnd:
    """How a job ended, in its own words, or by its process and log if it said nothing."""
    log = child.job.directory / LOG_FILE
    end: JobEnd | None = None
    with suppress(EOFError):  # it ended without one
        end = child.answer.recv()
    child.process.join()
    output = _tail(child.early_log) or _tail(log)
    if end is None:
        end = JobEnd(failure=_cause_of_death(child.process.exitcode, output), final_reward=None)
    child.lifeline.close()
    took = f"{time.monotonic() - child.started:.0f} s"
    if end.failure is None:
        reward = "" if end.final_reward is None else f", reward {end.final_reward:.3f}"
        _say(child.number, jobs, f"finished in {took}{reward}")
        return end
    _say(child.number, jobs, f"failed after {took}: {end.failure}")
    print("".join(f"    | {printable(line)}\n" for line in output), end="", file=sys.stderr, flush=True)
    where = f" ({log})" if log.exists() else ""
    return JobEnd(failure=f"{child.job.name}: {end.failure}{where}", final_reward=None)


def _cause_of_death(code: int | None, output: Sequence[str]) -> str:
    if code is not None and code < 0:
        hint = ", out of memory perhaps" if -code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"
    return output[-1] if output else f"its process ended with code {code} and said nothing"


def _tail(path: Path) -> list[str]:
    """The last lines of a log; none if it is not there (any more)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    except FileNotFoundError:
        return []


def _stop(children: Sequence[Child]) -> None:
    """Ask each job to save itself and wait; on a second Ctrl-C give them ten seconds."""
    if children:
        print("\nstopping: each job saves itself after this update; Ctrl-C again to end at once", file=sys.stderr)
    for number, patience in ((signal.SIGINT, None), (signal.SIGINT, LAST_CALL_S), (signal.SIGKILL, None)):
        for child in children:
            if child.process.is_alive() and child.process.pid is not None:
                os.kill(child.process.pid, number)
        try:
            deadline = None if patience is None else time.monotonic() + patience
            for child in children:
                child.process.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if not any(child.process.is_alive() for child in children):
                return
        except KeyboardInterrupt:
            continue


def _say(number: int, jobs: Sequence[Job], text: str) -> None:
    print(f"[{number + 1}/{len(jobs)}] {printable(jobs[number].name)} {printable_lines(text)}", flush=True)
