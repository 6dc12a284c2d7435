"""Reads run directories. What is damaged is skipped, named and counted; only what is no run at all raises."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from safelab.errors import DataError, printable, printable_lines
from safelab.runlog.files import EXACT, read_regular, read_yaml
from safelab.runlog.frame_cache import Damage, Parsed, remembered
from safelab.runlog.schema import (
    CHECKPOINT_DIR,
    CONFIG_FILE,
    EVALUATION_FILE,
    EVENTS_FILE,
    METRICS_FILE,
    NON_FINITE,
    OVERRIDES_FILE,
    RENAMED,
    RUN_FILE,
    SAMPLES_FILE,
    RunInfo,
    config_today,
)
from safelab.runlog.writer import read_info

TEXT = "controller/phase"
"""The one metric that is text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as its directory tells it.

    ``metrics``: one row per update, in order, with ``update`` as a column; a metric that a row lacks is NaN there.
    ``non_finite`` counts the values of each metric that were written as NaN or infinite. ``evaluation``: what
    ``safelab evaluate`` wrote, empty where it was not asked to.
    """

    directory: Path
    info: RunInfo
    config: Mapping[str, Any]
    overrides: Sequence[str]
    metrics: pd.DataFrame
    samples: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    damaged: Sequence[Damage]
    non_finite: Mapping[str, int]


def find_runs(paths: Iterable[str | Path]) -> list[Path]:
    """Every run directory at or below ``paths`` (directories or globs), each once, sorted.

    A directory with a ``run.json`` or a ``metrics.jsonl`` counts as a run; nothing below one is looked at. So does one
    that cannot be listed: ``read_run`` then says so, and the others are read.

    Raises:
        DataError: a path does not exist, matches nothing, or holds no run.
    """
    found: dict[Path, Path] = {}
    for given in paths:
        below = [run for root in _roots(given) for run in _walk(root)]
        if not below:
            remedy = "give a run directory, a folder above some, or train first"
            raise DataError(f"{given} must hold at least one run (a folder with {RUN_FILE}), got none; {remedy}")
        for run in below:
            found.setdefault(run.resolve(), run)
    return sorted(found.values())


def read_run(directory: str | Path, cache: Path | None = None) -> RunRecord:
    """One run with all its files.

    Args:
        directory: the run.
        cache: where parsed rows of long runs are kept; None: nowhere.

    Raises:
        DataError: ``directory`` is not a run, or its ``run.json`` cannot be read.
    """
    directory = Path(directory)
    info = _without_controls(read_info(directory))
    metrics = remembered(directory / METRICS_FILE, cache, lambda: _parse(directory / METRICS_FILE))
    damaged = list(metrics.damaged)
    return RunRecord(
        directory=directory,
        info=info,
        config=config_today(_yaml(directory / CONFIG_FILE, dict, damaged) or {}),
        overrides=[printable(str(item)) for item in _yaml(directory / OVERRIDES_FILE, list, damaged) or []],
        metrics=metrics.frame,
        samples=[row for _, row in _lines(directory / SAMPLES_FILE, damaged)],
        events=[row for _, row in _lines(directory / EVENTS_FILE, damaged)],
        evaluation=_object(directory / EVALUATION_FILE, damaged),
        damaged=damaged,
        non_finite=metrics.non_finite,
    )


def _object(path: Path, damaged: list[Damage]) -> dict[str, Any]:
    """The one object of a JSON file; empty where there is no file, or none that can be read, which is damage."""
    try:
        found = json.loads(read_regular(path))
        if isinstance(found, dict):
            return found
        reason = "holds no object"
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = f"cannot be read: {error}"
    damaged.append(Damage(file=path.name, line=0, reason=reason))
    return {}


def _parse(path: Path) -> Parsed:
    damaged: list[Damage] = []
    frame, non_finite = _frame(_renamed(_by_update(_lines(path, damaged), damaged)), damaged)
    return Parsed(frame=frame, damaged=damaged, non_finite=non_finite)


def _roots(given: str | Path) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        return [path]
    if has_magic(str(given)):
        return [match for name in sorted(glob(str(given), recursive=True)) if (match := Path(name)).is_dir()]
    kind = "a directory, got a file" if path.exists() else "an existing directory"
    raise DataError(f"{given} must be {kind}; give a run directory or a folder above some")


def _walk(root: Path) -> list[Path]:
    runs: list[Path] = []
    for folder, below, files in os.walk(root, onerror=lambda error: runs.append(Path(error.filename))):
        if RUN_FILE in files or METRICS_FILE in files:
            runs.append(Path(folder))
            below.clear()
        below[:] = sorted(name for name in below if name != CHECKPOINT_DIR and not name.startswith("."))
    return runs


def _lines(path: Path, damaged: list[Damage]) -> list[tuple[int, dict[str, Any]]]:
    """Line number and object of each whole line; the others go to ``damaged``. A file that is absent has no lines."""
    try:
        text = read_regular(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        damaged.append(Damage(file=path.name, line=0, reason=f"cannot be read: {error.strerror}"))
        return []
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    if (rows := _all_at_once(lines)) is not None:
        return list(enumerate(rows, start=1))
    good = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            if not is_row(row):
                raise ValueError("not an object with an 'update' from 0")
            good.append((number, row))
        except (ValueError, RecursionError) as error:
            damaged.append(Damage(file=path.name, line=number, reason=f"{error}: {line[:60]!r}"))
    return good


def _all_at_once(lines: list[bytes]) -> list[dict[str, Any]] | None:
    """Every line as one document, which is twice as fast as line by line; None if any of them is not a row."""
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        return None
    return rows if len(rows) == len(lines) and all(map(is_row, rows)) else None


def is_row(row: object) -> bool:
    """Whether a line's value is an object with an ``update`` from 0."""
    return isinstance(row, dict) and type(update := row.get("update")) is int and 0 <= update < EXACT


def _by_update(lines: list[tuple[int, dict[str, Any]]], damaged: list[Damage]) -> list[dict[str, Any]]:
    """Rows in the order of ``update``; of a repeated one the last stands, the others are damage."""
    rows: dict[int, tuple[int, dict[str, Any]]] = {}
    for number, row in lines:
        if (earlier := rows.get(row["update"])) is not None:
            reason = f"update {row['update']} comes again in line {number}, which stands"
            damaged.append(Damage(file=METRICS_FILE, line=earlier[0], reason=reason))
        rows[row["update"]] = (number, row)
    return [rows[update][1] for update in sorted(rows)]


def _renamed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every metric under the name of today; a run that a newer version went on with has rows of both kinds."""
    if not any(old in row for old in RENAMED for row in rows):
        return rows
    return [{RENAMED.get(name, name): value for name, value in row.items()} for row in rows]


def _frame(rows: list[dict[str, Any]], damaged: list[Damage]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Numbers become float columns, text (``controller/phase``) stays; counts what was not finite."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {}
    non_finite: dict[str, int] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        shown = printable(name)
        columns[shown] = _column(shown, values, damaged)
        if columns[shown].dtype != object and (odd := _not_finite(columns[shown], values)):
            non_finite[shown] = odd
    frame = pd.DataFrame(columns or {"update": np.array([], dtype=np.int64)})
    return frame.astype({"update": np.int64}), non_finite


def _not_finite(column: "np.ndarray[Any, Any]", values: list[Any]) -> int:
    """How many of ``values`` are NaN or infinite, however that was written; one that is missing is not."""
    if np.isfinite(column).all():
        return 0
    written = (isinstance(value, int | float) or (isinstance(value, str) and value in NON_FINITE) for value in values)
    return int(sum(there and not np.isfinite(number) for there, number in zip(written, column, strict=True)))


def _column(name: str, values: list[Any], damaged: list[Damage]) -> "np.ndarray[Any, Any] | pd.Series[Any]":
    """Text for the one metric that is text, else numbers; a value of another kind is missing, and damage."""
    column: Any
    try:
        # None becomes NaN, and so do the texts that stand for what JSON cannot hold.
        column = np.array(values, dtype=np.float64)
        if column.ndim == 1:
            return column  # type: ignore[no-any-return]
    except (ValueError, TypeError, OverflowError):
        pass
    kept: list[Any]
    if name == TEXT:
        kept = [printable(value) if isinstance(value, str) else None for value in values]
        column = pd.Series(kept, dtype=object)
    else:
        kept = [_number(value) for value in values]
        column = np.array(kept, dtype=np.float64)
    odd = [value for value, found in zip(values, kept, strict=True) if found is None and value is not None]
    if odd:
        kind = "text" if column.dtype == object else "number"
        reason = f"{name} is no {kind} in {len(odd)} of {len(values)} rows, as {printable(repr(odd[0])[:40])}"
        damaged.append(Damage(file=METRICS_FILE, line=0, reason=reason))
    return column  # type: ignore[no-any-return]


def _number(value: Any) -> float | None:
    """A JSON value as a float, or None."""
    if isinstance(value, str):
        return NON_FINITE.get(value)
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _without_controls(info: RunInfo) -> RunInfo:
    """The record without what a terminal obeys: names and messages are the run's, and are printed by many."""
    shown = {name: printable(value) for name, value in info if isinstance(value, str)}
    return info.model_copy(
        update={
            **shown,
            "reason": None if info.reason is None else printable_lines(info.reason),
            "git_commit": None if info.git_commit is None else printable(info.git_commit),
            "overrides": [printable(item) for item in info.overrides],
            "versions": {printable(name): printable(version) for name, version in info.versions.items()},
        }
    )


def _yaml(path: Path, kind: type, damaged: list[Damage]) -> Any:
    """The file's content, or None (and a damage) where it is missing, unreadable or of another kind."""
    try:
        content = read_yaml(path)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except ValueError as error:
        reason = printable(str(error))
    else:
        if isinstance(content, kind):
            return content
        reason = f"must hold a {kind.__name__}, got {type(content).__name__}"
    damaged.append(Damage(file=path.name, line=0, reason=reason))
    return None
