"""The run's own keys at the top of the configuration: what belongs to no group."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from safelab.options import Options


class CheckpointOptions(Options):
    """``every``: updates between checkpoints, 0 for only the last one. ``keep``: how many of the newest stay on disk.

    ``best``: a metric; the checkpoint at which it was highest stays, too. None for none.
    """

    every: Annotated[int, Field(ge=0)]
    keep: Annotated[int, Field(ge=1)]
    best: str | None


class SampleOptions(Options):
    """``every``: updates between records in ``samples.jsonl``, 0 for none. ``count``: responses in each."""

    every: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)]


class ResumeOptions(Options):
    """What to do where the run's directory holds a run. ``allow``: keys (or groups) that may differ from it.

    ``auto`` goes on with an unfinished one, ``never`` refuses it, ``must`` refuses a directory without one.
    """

    mode: Literal["auto", "never", "must"]
    allow: list[str]


class LimitOptions(Options):
    """``minutes``: of wall time, after which the run saves itself and ends; None for no limit."""

    minutes: Annotated[float, Field(gt=0)] | None


class Settings(Options):
    """Top-level keys. ``device``: cpu, cuda, cuda:N, or auto (a GPU if there is one). ``ranks``: processes of the run.

    ``baseline``: the arm of the same study that reports compare the others with; None where it names none.
    """

    experiment: str
    arm: str
    seed: Annotated[int, Field(ge=0)]
    baseline: str | None
    updates: Annotated[int, Field(ge=1)]
    output_dir: str
    device: str
    threads: Annotated[int, Field(ge=1)]
    ranks: Annotated[int, Field(ge=1)]
    checkpoint: CheckpointOptions
    samples: SampleOptions
    resume: ResumeOptions
    limit: LimitOptions

    @property
    def directory(self) -> Path:
        """``<output_dir>/<experiment>/<arm>/seed_<n>``."""
        return Path(self.output_dir) / self.experiment / self.arm / f"seed_{self.seed}"
