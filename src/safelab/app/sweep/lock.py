"""One sweep at a time in an experiment's folder: two would train the same jobs, and one of each pair would fail."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from safelab.app.config.jobs import Job
from safelab.runlog.lock import Lock

REMEDY = "wait for that sweep, or give this one another experiment or output_dir"


@contextmanager
def alone(jobs: Sequence[Job]) -> Iterator[None]:
    """Hold ``<output_dir>/<experiment>`` of every job; folders that were made for this and stay empty are removed.

    Raises:
        DataError: another sweep has one, named by its process and host.
    """
    with ExitStack() as held:
        for folder in sorted({job.directory.parents[1] for job in jobs}):
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            held.callback(_remove_empty, new)
            held.callback(Lock.take(folder, REMEDY).release)
        yield


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it is not empty, or gone
            folder.rmdir()
