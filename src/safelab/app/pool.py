"""Jobs of a sweep side by side, each in a process forked from a server that has imported everything already."""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from safelab.app.jobs import Job
from safelab.app.worker import LOG_FILE, Report, work

PRELOADED = "safelab.app.preload"
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


def warm() -> None:
    """Start the server, which imports in the background what the jobs need."""
    # Read by libraries when they are imported: a thread started in the server would be missing in its forks.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOADED])
    forkserver.ensure_running()


def run_all(jobs: Sequence[Job], slots: Sequence[str | None]) -> list[Report]:
    """Run every job, as many at once as there are slots, and say of each when it starts and how it ends.

    Args:
        jobs: checked already.
        slots: the GPU of each place where a job may run, None for a place without one of its own.

    Returns:
        One report per job, in their order.
    """
    warm()
    waiting, free, running = deque(enumerate(jobs)), deque(slots), dict[Connection, Child]()
    reports: dict[int, Report] = {}
    with tempfile.TemporaryDirectory(prefix="safelab-") as scratch:
        try:
            while waiting or running:
                while waiting and free:
                    number, job = waiting.popleft()
                    if _is_done(job):
                        _say(number, jobs, f"finished already: {job.directory}")
                        reports[number] = Report(failure=None, final_reward=None)
                        continue
                    _say(number, jobs, "started")
                    child = _start(number, job, free.popleft(), Path(scratch) / f"{number}.txt")
                    running[child.answer] = child
                for ready in wait(list(running)):
                    child = running.pop(ready)  # type: ignore[index]
                    reports[child.number] = _collect(child, jobs)
                    free.append(child.gpu)
        except KeyboardInterrupt:
            _stop(list(running.values()))
            raise
    return [reports[number] for number in range(len(jobs))]


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
    on_one_gpu = any(device.startswith("cuda:") for device in devices)
    return [None] * (workers or (1 if on_one_gpu else max(1, _cores() // threads)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_done(job: Job) -> bool:
    from safelab.app.build import settings_of
    from safelab.training.run import is_finished

    return is_finished(settings_of(job.config))


def _start(number: int, job: Job, gpu: str | None, early_log: Path) -> Child:
    context = multiprocessing.get_context("forkserver")
    answer, send = context.Pipe(duplex=False)
    alive, lifeline = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(job, gpu, early_log, send, alive), daemon=True)
    process.start()
    send.close()
    alive.close()
    return Child(
        number=number, job=job, gpu=gpu, process=process, answer=answer, lifeline=lifeline,
        early_log=early_log, started=time.monotonic(),
    )  # fmt: skip


def _collect(child: Child, jobs: Sequence[Job]) -> Report:
    """The report of a job that has ended, or what its end says if it left none."""
    log = child.job.directory / LOG_FILE
    try:
        report = child.answer.recv()
    except EOFError:
        child.process.join()
        report = None
    output = _tail(child.early_log) or _tail(log)
    if report is None:
        report = Report(failure=_cause_of_death(child.process.exitcode, output), final_reward=None)
    child.process.join()
    child.lifeline.close()
    took = f"{time.monotonic() - child.started:.0f} s"
    if report.failure is None:
        reward = "" if report.final_reward is None else f", reward {report.final_reward:.3f}"
        _say(child.number, jobs, f"finished in {took}{reward}")
        return report
    _say(child.number, jobs, f"failed after {took}: {report.failure}")
    print("".join(f"    | {line}\n" for line in output), end="", file=sys.stderr, flush=True)
    where = f" ({log})" if log.exists() else ""
    return Report(failure=f"{child.job.name}: {report.failure}{where}", final_reward=None)


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
        print("interrupted: jobs save their state after this update; Ctrl-C again to end at once", file=sys.stderr)
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
    print(f"[{number + 1}/{len(jobs)}] {jobs[number].name} {text}", flush=True)
