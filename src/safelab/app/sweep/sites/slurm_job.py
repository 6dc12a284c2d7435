"""On a SLURM node: run one job of an array, and leave its last word beside its description."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from safelab.app.config.jobs import Job
from safelab.app.sweep.sites import slurm_commands
from safelab.app.sweep.sites.slurm_files import Place
from safelab.app.sweep.sites.slurm_script import TIME_IS_UP
from safelab.app.sweep.worker import JobEnd, do
from safelab.runlog.lines import last_update

AGAIN_S = 1.0
"""Seconds until a run that could not listen is told again that its time is up."""

PATIENCE_S = 60.0
"""Seconds that SLURM may take to end a job which has asked to be queued again."""


def main(folder: str, index: str) -> None:
    """Run job ``index`` of the array whose files lie in ``folder``."""
    place = Place(Path(folder, f"{index}.json"))
    warned: list[int] = []

    def time_is_up(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)  # the run is being built, and does not listen yet
        elif not warned:
            warned.append(number)
            os.kill(os.getpid(), signal.SIGTERM)  # it saves itself then

    for number in (TIME_IS_UP, signal.SIGALRM):
        signal.signal(number, time_is_up)
    place.say(None)  # an attempt before this one may have said something
    job, command = place.job()
    before = last_update(job.directory)
    end = do(job, place.early_log, command)
    if warned and end.stopped:
        end = queued_again(job, end, before)
    place.say(end)


def queued_again(job: Job, end: JobEnd, before: int) -> JobEnd:
    """Back into the queue, from which it does not return; a job that has got nowhere says so instead."""
    if last_update(job.directory) == before:
        return replace(
            end, stopped=False, failure="its time was up before an update was done: raise hydra.launcher.time, or "
            "lower hydra.launcher.warn_s",
        )  # fmt: skip
    refused = slurm_commands.requeue(os.environ["SLURM_JOB_ID"])
    if refused is None:
        time.sleep(PATIENCE_S)  # SLURM ends us
    return end if refused is None else replace(end, failure=f"{end.failure}; it was not queued again: {refused}")


if __name__ == "__main__":
    main(*sys.argv[1:])
