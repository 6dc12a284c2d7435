"""All that can be found wrong with jobs before any of them makes anything, in one message."""

from collections.abc import Sequence

from safelab.app.config.jobs import Job, check_directories, merged
from safelab.errors import ConfigError


def preflight(jobs: Sequence[Job], here: bool = True) -> None:
    """Check all jobs, and where they would write, before any of them makes anything.

    Args:
        jobs: to be checked.
        here: whether they run on this machine; else each looks for its GPU where it runs.

    Raises:
        ConfigError: every fault of every job, each once.
    """
    check_options(jobs, here)
    if lines := check_directories(jobs):
        raise ConfigError(listed(lines))


def check_options(jobs: Sequence[Job], here: bool = True) -> None:
    """Check what all jobs were told; see ``preflight``.

    Raises:
        ConfigError: every fault of every job, each once.
    """
    from safelab.app.config.build import problems

    if lines := merged([(job.name, line) for job in jobs for line in problems(job.config, here)], len(jobs)):
        raise ConfigError(listed(lines))


def listed(lines: Sequence[str]) -> str:
    """One message of one or several lines."""
    return lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} things are wrong:", *lines])
