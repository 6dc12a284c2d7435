"""All kinds of crash at once: their constants, what they remember, and one more update for each of them.

A flag is 1 at the update where a crash of its kind begins, else 0, and is absent where the row lacks what the kind
needs. The kinds are the rows of ``table``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import create_model

from safelab.crash.row import Row
from safelab.crash.table import KINDS
from safelab.options import Options, State

# The table gives both models their fields, so a new row reaches the configuration and the checkpoint by itself. Mypy
# takes no base class that is made at run time.
OPTIONS: dict[str, Any] = {kind.detector: (kind.options, ...) for kind in KINDS}
STATES: dict[str, Any] = {kind.detector: (kind.state, kind.state()) for kind in KINDS}


class DetectorOptions(create_model("DetectorOptions", __base__=Options, **OPTIONS)):  # type: ignore[misc]
    """The constants of every kind, each under its key in ``conf/detectors``."""


class DetectorState(create_model("DetectorState", __base__=State, **STATES)):  # type: ignore[misc]
    """What every kind remembers between updates, under the same keys."""


def detect_init() -> DetectorState:
    """The state before the first update."""
    return DetectorState()


def detect_step(
    options: DetectorOptions, state: DetectorState, metrics: Mapping[str, Any], batch_size: int
) -> tuple[DetectorState, dict[str, int]]:
    """One more update.

    Args:
        options: the constants.
        state: after the update before.
        metrics: the row by name; what no kind needs is ignored.
        batch_size: responses behind ``reward/mean``.

    Returns:
        The next state, and 1 or 0 for each kind that the row allows to judge.
    """
    row = Row(metrics=metrics, batch_size=batch_size)
    changes: dict[str, State] = {}
    flags: dict[str, int] = {}
    for kind in KINDS:
        outcome = kind.step(getattr(options, kind.detector), getattr(state, kind.detector), row)
        if outcome is not None:
            changes[kind.detector], flags[kind.key] = outcome[0], int(outcome[1])
    return state.model_copy(update=changes), flags


def detect(options: DetectorOptions, rows: Iterable[Mapping[str, Any]], batch_size: int) -> list[dict[str, int]]:
    """The flags of a whole run, one mapping per row: ``detect_step`` from the beginning."""
    state, found = detect_init(), []
    for row in rows:
        state, flags = detect_step(options, state, row, batch_size)
        found.append(flags)
    return found
