"""The definitions of crashes in words, with the constants that the runs had."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from safelab.crash.table import kind_of
from safelab.results.model import Definition
from safelab.results.runs.load import RunSet


def label(kind: str) -> str:
    """``"Reward crash"`` for ``"crash/reward"``."""
    return kind_of(kind).label


def definitions(constants: Mapping[str, Any], kinds: Sequence[str]) -> list[Definition]:
    """The definition of each of ``kinds``, with its constants or, where the runs hold none, without."""
    return [Definition(kind=kind, label=label(kind), text=_filled(kind, constants)) for kind in kinds]


def constants_of(loaded: RunSet) -> tuple[dict[str, Any], bool]:
    """The detectors' constants of the first run that has them, and whether all runs have the same."""
    recorded = [run.record.config.get("detectors") for run in loaded.runs]
    found = [constants for constants in recorded if constants and isinstance(constants, Mapping)]
    return (dict(found[0]), all(other == found[0] for other in found)) if found else ({}, True)


def _filled(kind: str, constants: Mapping[str, Any]) -> str:
    row = kind_of(kind)
    try:
        return re.sub(r"(?<=\d)%", "\N{NO-BREAK SPACE}%", row.words.format(**constants[row.detector]))
    except (KeyError, TypeError, ValueError, OverflowError):
        # Runs of another version or another program: their flags stand, their constants are not known here.
        return f"As the runs defined it; their constants: {constants.get(row.detector, 'not recorded')}."
