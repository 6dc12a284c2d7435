"""A mirror of the run in trackio's database on this machine; ``trackio show`` serves it, ``trackio sync`` sends it.

trackio adds points to a run and takes none back. Whoever goes on with a run is shown the whole curve, so the run of its
name is removed there first; its name holds an id that no other run has.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from safelab.contracts import Context, Mirror, Tracker
from safelab.errors import ConfigError
from safelab.parts.tracker._shown import columns, numbers, run_id, title, told


class Trackio(Tracker):
    """``project``: under which the runs are listed. $TRACKIO_DIR: where trackio keeps its database."""

    project: Annotated[str, Field(min_length=1, pattern=r"^[\w.-]+$")]

    def build(self, context: Context) -> Tracker:
        """Itself, once the package has been loaded.

        Raises:
            ConfigError: it is not installed.
        """
        _trackio()
        return self

    def start(self, directory: Path, config: Mapping[str, Any], run: Mapping[str, Any]) -> Mirror:
        """Open the mirror, empty."""
        trackio = _trackio()
        name = f"{run['experiment']} {title(run)} {run_id(run)[:8]}"
        with redirect_stdout(io.StringIO()):  # it greets
            for old in _runs_of(trackio, self.project):
                if old.name == name:
                    old.delete()
            words = {"tags": self.tags, "notes": self.notes}
            opened = trackio.init(
                project=self.project,
                name=name,
                group=run["arm"],
                config={**told(config, run), **words},
                resume="never",
                embed=False,
            )
        return TrackioRun(opened, trackio)


@dataclass(frozen=True, slots=True)
class TrackioRun(Mirror):
    """The run as the ``package`` holds it open."""

    opened: Any
    package: Any

    def log(self, row: Mapping[str, Any]) -> None:
        """One row, at the step that is its update."""
        self.opened.log(numbers(row), step=row["update"])

    def samples(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """One table of all samples."""
        keys = columns(records)
        data = [[record.get(key) for key in keys] for record in records]
        self.opened.log({"samples": self.package.Table(columns=keys, data=data)}, step=update)

    def finish(self, status: str) -> None:
        """Bring the last points to the database."""
        with redirect_stdout(io.StringIO()):
            self.package.finish()  # not the run's own: that would be called again at the exit, and speak


def _runs_of(trackio: Any, project: str) -> list[Any]:
    try:
        return [*trackio.Api().runs(project)]
    except ValueError:  # there is no such project yet
        return []


def _trackio() -> Any:
    try:
        import trackio
    except ImportError as error:
        raise ConfigError(
            f"tracker.name must be an option whose package is installed, got trackio, which does not load ({error}); "
            "pip install './safelab[trackio]'"
        ) from error
    return trackio
