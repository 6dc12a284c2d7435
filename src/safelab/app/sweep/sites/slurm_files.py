"""The files by which a launcher and its SLURM jobs speak, below ``<output_dir>/<experiment>/.slurm``.

For each array a folder: ``array.sh`` as it was submitted, ``array`` with SLURM's number of it, and for each job
``N.json`` (what to do), ``N.end.json`` (its last word), ``N.out`` (what SLURM and the shell said), ``N.early.txt`` (its
log until the run's directory has one).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safelab.app.config.jobs import Job
from safelab.app.sweep.worker import JobEnd

FOLDER = ".slurm"
ARRAY = "array"
OUTPUT = ".out"


@dataclass(frozen=True, slots=True)
class Place:
    """One job's files, by the ``path`` of the first."""

    path: Path

    @property
    def early_log(self) -> Path:
        """Where the job writes until its run has a directory."""
        return self.path.with_suffix(".early.txt")

    def describe(self, job: Job, command: str) -> None:
        """Write down what to do."""
        told = {"config": dict(job.config), "overrides": list(job.overrides), "command": command}
        self.path.write_text(json.dumps(told), encoding="utf-8")

    def described(self) -> str | None:
        """What was written down, ``as_text``; None if it cannot be read."""
        try:
            return as_text(self.job()[0])
        except (OSError, ValueError, KeyError):
            return None

    def job(self) -> tuple[Job, str]:
        """What to do, and the command that was typed for it."""
        told = json.loads(self.path.read_text(encoding="utf-8"))
        return Job(config=told["config"], overrides=tuple(told["overrides"])), told["command"]

    def end(self) -> JobEnd | None:
        """The job's last word, if it has said one."""
        [*self.path.parent.iterdir()]  # so that a shared disk looks again, and not at what it remembers
        try:
            return JobEnd(**json.loads(self._end.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def say(self, end: JobEnd | None) -> None:
        """Leave the job's last word, whole or not at all; None: take back that of an attempt before."""
        if end is None:
            self._end.unlink(missing_ok=True)
            return
        beside = self.path.with_suffix(".end.new")
        beside.write_text(json.dumps(asdict(end)), encoding="utf-8")
        beside.rename(self._end)

    @property
    def _end(self) -> Path:
        return self.path.with_suffix(".end.json")


def as_text(job: Job) -> str:
    """What makes a job, to compare it with another."""
    return json.dumps([dict(job.config), list(job.overrides)], sort_keys=True)
