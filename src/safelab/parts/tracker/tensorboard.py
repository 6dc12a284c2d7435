"""A mirror of the run for TensorBoard: event files in the run's directory, made anew whenever a process opens it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from safelab.contracts import Context, Mirror, Tracker
from safelab.errors import ConfigError
from safelab.parts.tracker._shown import columns, numbers, told

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""In the run's directory."""


class Tensorboard(Tracker):
    """``tensorboard --logdir outputs`` shows every run below that folder."""

    def build(self, context: Context) -> Tracker:
        """Itself, once the package has been loaded.

        Raises:
            ConfigError: it is not installed.
        """
        _writer()
        return self

    def start(self, directory: Path, config: Mapping[str, Any], run: Mapping[str, Any]) -> Mirror:
        """Open the mirror; it is shown the whole curve, so that what an earlier process wrote is removed."""
        folder = directory / FOLDER
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        # purge_step: a TensorBoard that shows the run now forgets what it has read of it.
        opened = _writer()(str(folder), purge_step=0)
        opened.add_text("configuration", _block(yaml.safe_dump(told(config, run), sort_keys=False)))
        if self.tags or self.notes:
            opened.add_text("notes", "\n\n".join(filter(None, (", ".join(self.tags), self.notes))))
        return TensorboardRun(opened)


@dataclass(frozen=True, slots=True)
class TensorboardRun(Mirror):
    """The open event file; a curve per metric, under its own name."""

    opened: "SummaryWriter"

    def log(self, row: Mapping[str, Any]) -> None:
        """One point per number of the row, at the step that is its update."""
        for key, value in numbers(row).items():
            self.opened.add_scalar(key, value, row["update"])

    def samples(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """One text of all samples, each with its keys."""
        keys = columns(records)
        shown = ["\n".join(f"{key}: {record.get(key)}" for key in keys) for record in records]
        self.opened.add_text("samples", "\n\n".join(map(_block, shown)), update)

    def finish(self, status: str) -> None:
        """Bring the last points to the disk."""
        self.opened.close()


def _block(text: str) -> str:
    """``text`` as it stands, in the Markdown that TensorBoard reads."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _writer() -> "type[SummaryWriter]":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            f"tracker.name must be an option whose package is installed, got tensorboard, which does not load "
            f"({error}); pip install './safelab[tensorboard]'"
        ) from error
    return SummaryWriter
