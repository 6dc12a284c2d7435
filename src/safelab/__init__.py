"""Safelab trains RLHF methods that promise stability side by side and measures whether they keep it.

From Python: ``from safelab import Run, Study, compose, report, train``; see ``safelab.app.api``.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

FROM_PYTHON = ("Run", "Study", "compose", "report", "train")
"""What ``safelab.app.api`` offers here. It is imported when it is asked for: it takes seconds, and knows Hydra."""


def __getattr__(name: str) -> Any:
    if name not in FROM_PYTHON:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("safelab.app.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *FROM_PYTHON])
