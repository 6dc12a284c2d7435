"""One job of a sweep in a process of its own: quiet, on its own GPU, and gone when its parent is."""

import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from safelab.app.config.jobs import Job
from safelab.app.console import speak_anywhere
from safelab.errors import SafelabError

LOG_FILE = "log.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """What a worker tells its parent. ``failure``: why the job is not done, None if it is."""

    failure: str | None
    final_reward: float | None


def work(job: Job, gpu: str | None, log: Path, answer: Connection, lifeline: Connection) -> None:
    """Run ``job`` and send its JobEnd; an unexpected exception leaves its traceback in the log instead.

    Args:
        job: what to run; it was checked before.
        gpu: the only GPU that the job may see; None leaves them as they are.
        log: where output goes until the run has a directory.
        answer: receives the JobEnd.
        lifeline: closes when the parent ends.
    """
    os.setpgrp()  # Ctrl-C in the terminal reaches the parent alone, which tells each job once
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    _write_to(log)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    from safelab.app.sweep.run_job import run_job

    try:
        outcome = run_job(job, ready=lambda: _move(log, job.directory / LOG_FILE))
    except (SafelabError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        end = JobEnd(failure=str(error), final_reward=None)
    else:
        failed = outcome.status in ("failed", "diverged", "interrupted") and not outcome.expected
        end = JobEnd(failure=outcome.reason if failed else None, final_reward=outcome.final_reward)
    with suppress(BrokenPipeError):  # the parent is gone
        answer.send(end)


def _write_to(path: Path) -> None:
    """Point this process's standard output and error at the end of ``path``."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    speak_anywhere("utf-8")  # it is a file of ours, whatever the terminal's locale


def _move(early: Path, late: Path) -> None:
    """Now that the job is known to be sound: its log goes into its own directory."""
    late.parent.mkdir(parents=True, exist_ok=True)
    _write_to(late)
    with early.open("rb") as source, late.open("ab") as target:
        shutil.copyfileobj(source, target)
    early.unlink()


def _end_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv()
    except EOFError:
        os.kill(os.getpid(), signal.SIGINT)
