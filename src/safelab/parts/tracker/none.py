"""Mirrors nothing: the run's own files are the record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safelab.contracts import Mirror, Tracker


class NoTracker(Tracker):
    """No parameters."""

    def start(self, directory: Path, config: Mapping[str, Any], run: Mapping[str, Any]) -> Mirror:
        """Nothing to start."""
        return Blind()


class Blind(Mirror):
    """A mirror that shows nothing."""

    def log(self, row: Mapping[str, Any]) -> None:
        """Nothing to log to."""

    def finish(self, status: str) -> None:
        """Nothing to finish."""
