"""On a SLURM cluster: the jobs of a sweep as one job array, described by JSON files on the disk that all nodes share.

SLURM's own commands do everything: ``sbatch`` submits, ``squeue`` says what is left, ``scancel`` stops. A job that is
preempted, whose node dies, or whose time is up goes back into the queue, and on from its checkpoint.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from safelab.app.config.jobs import Job
from safelab.app.config.launchers import SlurmOptions
from safelab.app.sweep.sites import slurm_commands, slurm_script
from safelab.app.sweep.sites.site import Ending, last_lines
from safelab.app.sweep.sites.slurm_files import ARRAY, FOLDER, OUTPUT, Place, as_text
from safelab.app.sweep.worker import LOG_FILE
from safelab.errors import ConfigError

LATE_S = 60.0
"""Seconds that the last word of a job may take to be seen on a shared disk, after SLURM says that the job is over."""

TAKEN = {"NODE_FAIL": "its node failed", "BOOT_FAIL": "its node did not start", "PREEMPTED": "it was preempted",
         "TIMEOUT": "its time was up before it could save itself (hydra.launcher.warn_s)"}  # fmt: skip
"""States in which a job ends that is not to blame for it."""

KILLED = {signal.SIGKILL, signal.SIGTERM, slurm_script.TIME_IS_UP}


class SlurmSite:
    """A ``Site``. Jobs that a launcher before this one submitted, and that are not over, are waited for, not doubled.

    Args:
        options: of ``hydra/launcher=slurm``, checked.
        command: what was typed, for the runs' record.
    """

    begun = "submitted"

    def __init__(self, options: SlurmOptions, command: str) -> None:
        slurm_commands.check()
        self._options, self._command = options, command
        self._running: dict[str, tuple[int, Job, Place]] = {}  # by SLURM's name of the job
        self._over_since: dict[str, float] = {}
        self._stopping = False

    def start(self, waiting: Sequence[tuple[int, Job]]) -> int:
        """All of them, as one array, which SLURM holds until there is room."""
        if waiting:
            with uninterrupted():
                self._submit(waiting)
        return len(waiting)

    def ended(self, seconds: float | None) -> Sequence[Ending]:
        """Look at the queue until a job has left it."""
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            alive = slurm_commands.alive(self._arrays())
            if self._stopping:  # one that went back into the queue meanwhile is no longer wanted there
                slurm_commands.cancel_waiting(self._arrays())
            over = [name for name in self._running if alive is not None and name not in alive and self._is_told(name)]
            if over or not self._running or (until is not None and time.monotonic() >= until):
                return [self._ending(name) for name in over]
            time.sleep(self._options.poll_s if until is None else min(self._options.poll_s, 1.0))

    def stop(self, insist: bool) -> None:
        """Those that wait are taken out of the queue, those that run are told, or ended."""
        self._stopping = True
        slurm_commands.cancel_waiting(self._arrays())
        slurm_commands.stop(self._arrays(), insist)

    def close(self) -> None:
        """Nothing is held: what was submitted is SLURM's, and goes on without us."""

    def _arrays(self) -> list[str]:
        return sorted({name.split("_")[0] for name in self._running})

    def _submit(self, waiting: Sequence[tuple[int, Job]]) -> None:
        folder = waiting[0][1].directory.parents[1].absolute() / FOLDER
        left, new = left_over(folder, self._running), []
        for number, job in waiting:
            name, place = left.pop(as_text(job), (None, None))
            if name is None or place is None:
                new.append((number, job))
            else:
                self._running[name] = number, job, place
        if not new:
            return
        folder.mkdir(parents=True, exist_ok=True)
        here = Path(tempfile.mkdtemp(prefix=f"{time.strftime('%Y%m%d-%H%M%S')}-", dir=folder))
        places = [Place(here / f"{index}.json") for index in range(len(new))]
        for place, (_, job) in zip(places, new, strict=True):
            place.describe(job, self._command)
        script = here / "array.sh"
        script.write_text(slurm_script.text(self._options, here, [job for _, job in new]), encoding="utf-8")
        try:
            array = slurm_commands.submit(script)
        except ConfigError:
            shutil.rmtree(here)
            with suppress(OSError):  # others lie there
                folder.rmdir()
            raise
        (here / ARRAY).write_text(array)
        for index, (number, job) in enumerate(new):
            self._running[f"{array}_{index}"] = number, job, places[index]

    def _is_told(self, name: str) -> bool:
        """Whether the last word of a job that is over is there; if it said none, whether that is sure by now."""
        _, _, place = self._running[name]
        since = self._over_since.setdefault(name, time.monotonic())
        if place.end() is not None or time.monotonic() - since >= LATE_S:
            return True
        state, _, _ = slurm_commands.how_it_ended(name)
        return state != "COMPLETED"  # one that was ended otherwise said nothing

    def _ending(self, name: str) -> Ending:
        number, job, place = self._running.pop(name)
        end = place.end()
        state, killed_by, node = slurm_commands.how_it_ended(name)
        cause, lost = told_by(name, state, killed_by, node)
        if end is not None:
            # Its own doing, or a preemption after which SLURM did not queue it again.
            lost = end.stopped and not self._stopping and state != "CANCELLED"
        output = last_lines(place.early_log, place.path.with_suffix(OUTPUT), job.directory / LOG_FILE)
        return Ending(number=number, end=end, cause=cause, output=output, lost=lost and not self._stopping)


def left_over(folder: Path, ours: Container[str]) -> dict[str, tuple[str, Place]]:
    """Jobs that other launchers have submitted and that still wait or run, by what they are told."""
    arrays = {file.read_text().strip(): file.parent for file in folder.glob(f"*/{ARRAY}")}
    found = {}
    for name in slurm_commands.alive([*arrays]) or ():
        array, _, index = name.partition("_")
        place = Place(arrays[array] / f"{index}.json")
        if name not in ours and (told := place.described()) is not None:
            found[told] = name, place
    return found


def told_by(name: str, state: str, killed_by: int, node: str) -> tuple[str, bool]:
    """What to say of a job that left no word, and whether it was lost through no fault of its own."""
    where = f" on {node}" if node else ""
    if state in TAKEN:
        return f"SLURM job {name}{where}: {TAKEN[state]}", True
    if killed_by in KILLED and state != "CANCELLED":
        return f"SLURM job {name}{where} was ended by {signal.Signals(killed_by).name}", True
    return f"SLURM job {name} ended{where} as {state}", False


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block is through: what was submitted is then known, and can be stopped."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
