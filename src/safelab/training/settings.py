"""The run's own keys at the top of the configuration: what belongs to no group."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from safelab.options import Options


class CheckpointOptions(Options):
    """``every``: updates between checkpoints, 0 for only the last one. ``keep``: how many stay on disk."""

    every: Annotated[int, Field(ge=0)]
    keep: Annotated[int, Field(ge=1)]


class SampleOptions(Options):
    """``every``: updates between records in ``samples.jsonl``, 0 for none. ``count``: responses in each."""

    every: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)]


class Settings(Options):
    """Top-level keys. ``device``: cpu, cuda, cuda:N, or auto (a GPU if there is one)."""

    experiment: str
    arm: str
    seed: Annotated[int, Field(ge=0)]
    updates: Annotated[int, Field(ge=1)]
    output_dir: str
    device: str
    threads: Annotated[int, Field(ge=1)]
    checkpoint: CheckpointOptions
    samples: SampleOptions

    @property
    def directory(self) -> Path:
        """``<output_dir>/<experiment>/<arm>/seed_<n>``."""
        return Path(self.output_dir) / self.experiment / self.arm / f"seed_{self.seed}"
