"""The columns that a printed table of arms can have: how many runs finished, the measures, the crashes."""

from collections.abc import Sequence
from dataclasses import dataclass

from safelab.errors import DataError, nearest
from safelab.results import text
from safelab.results.model import ArmRow, Report
from safelab.results.words.definitions import label

FINISHED, DIVERGED = "finished", "diverged"

IN_PRINT = ("reward_mean", "reward_final", "gold_final", "reward_sd_rolling", "kl_mean", "kl_max", "entropy_final")
"""Measures that a table has unless others are asked for, beside the one that leads."""

Cell = tuple[str, str]
"""What stands in a cell, and the interval below or behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: the name by which it is asked for, what its head says, and a cell for each arm."""

    name: str
    label: str
    unit: str
    cells: Sequence[Cell]


def columns_of(report: Report) -> dict[str, Column]:
    """Every column that a report offers, by name."""
    found = [Column(name=FINISHED, label="Finished", unit="of started", cells=[_finished(arm) for arm in report.arms])]
    if any(arm.diverged.k for arm in report.arms):
        cells = [(text.crashed(arm.diverged), "") for arm in report.arms]
        found.append(Column(name=DIVERGED, label="Diverged", unit="runs", cells=cells))
    for m in report.measures:
        own = [arm.estimates[m.key] for arm in report.arms]
        cells = [(text.number(e.mean, m.digits), text.interval(e.low, e.high, m.digits)) for e in own]
        found.append(Column(name=m.key, label=m.label, unit=m.unit, cells=cells))
    for definition in report.definitions:
        cells = [(text.crashed(arm.crashed.get(definition.kind)), "") for arm in report.arms]
        found.append(Column(name=definition.kind, label=label(definition.kind), unit="runs", cells=cells))
    return {column.name: column for column in found}


def chosen_columns(report: Report) -> list[Column]:
    """The columns that were asked for, else those of a table without a bound on its width."""
    offered = columns_of(report)
    if report.columns:
        return [offered[name] for name in dict.fromkeys(report.columns)]
    measures = {m.key for m in report.measures}
    return [c for c in offered.values() if c.name not in measures or c.name in (*IN_PRINT, report.primary)]


def check_columns(report: Report) -> None:
    """Refuse a column that the report does not have.

    Raises:
        DataError: naming it, and those that there are.
    """
    offered = list(columns_of(report))
    for name in report.columns:
        if name not in offered:
            raise DataError(f"--columns must name columns of this report, got {name!r}; {nearest(name, offered)}")


def _finished(arm: ArmRow) -> Cell:
    return f"{arm.finished} of {arm.started}", ""
