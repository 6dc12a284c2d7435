"""What a site must offer, and how a job ended there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safelab.app.config.jobs import Job
from safelab.app.sweep.worker import JobEnd

TAIL_LINES = 15
"""Lines of its output that are shown of a job that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended. ``end``: its own last word; None: it had none, and ``cause`` is what the site knows.

    ``lost``: its process or its machine was taken from it, through no fault of its own; it may go on from its
    checkpoint. ``output``: the last lines that it wrote.
    """

    number: int
    end: JobEnd | None
    cause: str
    output: Sequence[str]
    lost: bool = False


class Site(Protocol):
    """Starts jobs and says how they ended."""

    begun: str
    """What is said of a job that was handed over: ``started``, or ``submitted`` where it may wait for its turn."""

    def start(self, waiting: Sequence[tuple[int, Job]]) -> int:
        """Take jobs with their numbers, from the first on, as many as there are places now; returns how many."""

    def ended(self, seconds: float | None) -> Sequence[Ending]:
        """Wait until at least one job has ended, or the time is up; None: for as long as it takes."""

    def stop(self, insist: bool) -> None:
        """Ask every job to save itself and end; ``insist``: end it at once."""

    def close(self) -> None:
        """Let go of the site. What still runs, as after a fault of our own, saves itself and ends if it is ours."""


def last_lines(*logs: Path) -> list[str]:
    """The last lines of the first of ``logs`` that says anything."""
    for path in logs:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        except FileNotFoundError:
            continue
        if lines:
            return lines
    return []
