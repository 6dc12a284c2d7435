"""One job of a sweep in a process of its own, wherever that is: quiet, and with one JobEnd as its last word."""

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from safelab.app.config.jobs import Job
from safelab.app.console import speak_anywhere
from safelab.errors import SafelabError

LOG_FILE = "log.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """What a job says at its end. ``failure``: why it is not done, None if it is; ``seconds``: that it ran.

    ``stopped``: it was told to stop by a signal, and has saved itself.
    """

    failure: str | None
    final_reward: float | None
    seconds: float | None = None
    stopped: bool = False


def do(job: Job, log: Path, command: str | None = None) -> JobEnd:
    """Run ``job``, which was checked before, in this process, whose output is the job's from now on.

    Args:
        job: what to run.
        log: where output goes until the run has a directory.
        command: what was typed, for the run's record; None: this process's command line.
    """
    _write_to(log)
    started = time.monotonic()
    from safelab.app.sweep.run_job import run_job

    try:
        outcome = run_job(job, ready=lambda: _move(log, job.directory / LOG_FILE), command=command)
    except (SafelabError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return JobEnd(failure=str(error), final_reward=None, seconds=time.monotonic() - started)
    failed = outcome.status in ("failed", "diverged", "interrupted") and not outcome.expected
    return JobEnd(
        failure=outcome.reason if failed else None,
        final_reward=outcome.final_reward,
        seconds=time.monotonic() - started,
        stopped=failed and outcome.status == "interrupted",
    )


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
