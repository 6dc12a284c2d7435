"""Reads run directories. What is damaged is skipped, named and counted; only what is no run at all raises."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from safelab.errors import DataError
from safelab.runlog.frame_cache import Damage, Parsed, remembered
from safelab.runlog.schema import (
    CHECKPOINT_DIR,
    CONFIG_FILE,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as its directory tells it.

    ``metrics``: one row per update, in order, with ``update`` as a column; a metric that a row lacks is NaN there.
    ``non_finite`` counts the values of each metric that were written as NaN or infinite.
    """

    directory: Path
    info: RunInfo
    config: Mapping[str, Any]
    overrides: Sequence[str]
    metrics: pd.DataFrame
    samples: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    damaged: Sequence[Damage]
    non_finite: Mapping[str, int]


def find_runs(paths: Iterable[str | Path]) -> list[Path]:
    """Every run directory at or below ``paths`` (directories or globs), each once, sorted.

    A directory with a ``run.json`` or a ``metrics.jsonl`` counts as a run; nothing below one is looked at.

    Raises:
        DataError: a path does not exist, matches nothing, cannot be listed, or holds no run.
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
    info = read_info(directory)
    metrics = remembered(directory / METRICS_FILE, cache, lambda: _parse(directory / METRICS_FILE))
    damaged = list(metrics.damaged)
    return RunRecord(
        directory=directory,
        info=info,
        config=config_today(_yaml(directory / CONFIG_FILE, dict, damaged) or {}),
        overrides=[str(item) for item in _yaml(directory / OVERRIDES_FILE, list, damaged) or []],
        metrics=metrics.frame,
        samples=[row for _, row in _lines(directory / SAMPLES_FILE, damaged)],
        events=[row for _, row in _lines(directory / EVENTS_FILE, damaged)],
        damaged=damaged,
        non_finite=metrics.non_finite,
    )


def _parse(path: Path) -> Parsed:
    damaged: list[Damage] = []
    frame, non_finite = _frame(_renamed(_by_update(_lines(path, damaged), damaged)))
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
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} must be readable ({error.strerror}); check its permissions") from error

    runs = []
    for folder, below, files in os.walk(root, onerror=refuse):
        if RUN_FILE in files or METRICS_FILE in files:
            runs.append(Path(folder))
            below.clear()
        below[:] = sorted(name for name in below if name != CHECKPOINT_DIR and not name.startswith("."))
    return runs


def _lines(path: Path, damaged: list[Damage]) -> list[tuple[int, dict[str, Any]]]:
    """Line number and object of each whole line; the others go to ``damaged``. A file that is absent has no lines."""
    try:
        text = path.read_bytes()
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
            if not _is_row(row):
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
    return rows if len(rows) == len(lines) and all(map(_is_row, rows)) else None


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and type(update := row.get("update")) is int and update >= 0


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


def _frame(rows: list[dict[str, Any]]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Numbers become float columns, text (``controller/phase``) stays; counts what was not finite."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {}
    non_finite: dict[str, int] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        columns[name] = _column(values)
        if columns[name].dtype != object and not np.isfinite(columns[name]).all():
            odd = sum(value in NON_FINITE for value in values if isinstance(value, str))
            non_finite |= {name: odd} if odd else {}
    frame = pd.DataFrame(columns or {"update": np.array([], dtype=np.int64)})
    return frame.astype({"update": np.int64}), non_finite


def _column(values: list[Any]) -> "np.ndarray[Any, Any] | pd.Series[Any]":
    try:
        # None becomes NaN, and so do the texts that stand for what JSON cannot hold.
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError):
        return pd.Series([None if value is None else str(value) for value in values], dtype=object)


def _yaml(path: Path, kind: type, damaged: list[Damage]) -> Any:
    """The file's content, or None (and a damage) where it is missing, unreadable or of another kind."""
    try:
        content = yaml.load(path.read_bytes(), Loader=_LOADER)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except yaml.YAMLError as error:
        reason = f"is not YAML: {' '.join(str(error).split())[:120]}"
    else:
        if isinstance(content, kind):
            return content
        reason = f"must hold a {kind.__name__}, got {type(content).__name__}"
    damaged.append(Damage(file=path.name, line=0, reason=reason))
    return None


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
