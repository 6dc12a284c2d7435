"""Mirrors nothing: the run's own files are the record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safelab.contracts import Context
from safelab.options import Options as BaseOptions


class Options(BaseOptions):
    """No parameters."""

    name: str


def build(options: Options, context: Context) -> "NoTracker":
    """A tracker that does nothing."""
    return NoTracker()


class NoTracker:
    """``contracts.Tracker``."""

    def start(self, directory: Path, config: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Nothing to start."""

    def log(self, row: Mapping[str, Any]) -> None:
        """Nothing to log to."""

    def finish(self, status: str) -> None:
        """Nothing to finish."""
