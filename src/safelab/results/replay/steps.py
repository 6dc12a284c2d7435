"""Steps a controller over recorded signals, without a model, to see what it would have done."""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safelab.contracts import Controller
from safelab.errors import DataError, nearest
from safelab.runlog.files import EXACT
from safelab.runlog.reader import read_run
from safelab.types import Plan, Signals

REQUIRED = ("reward_mean", "kl_ref_token_k1", "entropy_token")
OPTIONAL = ("kl_ref_token_exact", "kl_ref_seq_k1", "n_sequences")

METRIC_OF = {
    "reward_mean": "reward/mean",
    "kl_ref_token_k1": "kl/ref_token_k1",
    "kl_ref_token_exact": "kl/ref_token_exact",
    "kl_ref_seq_k1": "kl/ref_seq_k1",
    "entropy_token": "policy/entropy_token",
}
"""Where a run's rows hold each signal."""

EPISODES = "episodes"
"""The metric that counts the responses written so far; its steps are the batches."""

FURTHER = "rollout/further"
"""Rollouts of an update besides the first, each as large, of all of which one batch is trained on."""

COLUMNS = ("step", *(field.name for field in fields(Plan)))


def replay(controller: Controller[Any], signals: Iterable[Signals]) -> list[dict[str, Any]]:
    """One row a step: the plan that the controller makes right after hearing that step's signals.

    With ``step_every: update`` it is the one that it made before, as in a run.
    """
    state, rows = controller.init(), []
    for step, heard in enumerate(signals):
        before, state = state, controller.step(state, heard)
        plan = asdict(controller.plan(before if controller.step_every == "update" else state))
        rows.append({"step": step, **plan, "active": int(plan["active"])})
    return rows


def read_signals(path: Path) -> list[Signals]:
    """Signals from a CSV with the columns ``reward_mean``, ``kl_ref_token_k1``, ``entropy_token``, one row a step.

    ``kl_ref_token_exact``, ``kl_ref_seq_k1`` and ``n_sequences`` are read where they are; other columns are ignored.

    Raises:
        DataError: no such file, a missing column, or a value that is no number; with file, line and column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or ()]
            rows = [dict(zip(columns, row.values(), strict=False)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"--signals must be a readable CSV file, got {path}: {error}") from error
    for name in REQUIRED:
        if name not in columns:
            raise DataError(f"--signals must have the column {name}, which {path} lacks; {nearest(name, columns)}")
    if not rows:
        raise DataError(f"--signals must have at least one row, got {path} with none")
    return [_signals(row, f"{path}, line {number}") for number, row in enumerate(rows, start=2)]


def run_signals(directory: Path) -> list[Signals]:
    """The signals of a run's updates, one step for each update in which the policy wrote (online: each).

    Raises:
        DataError: no run is there, or its rows lack a signal.
    """
    metrics = read_run(directory).metrics
    needed = [METRIC_OF[name] for name in REQUIRED] + [EPISODES]
    if lacking := [metric for metric in needed if metric not in metrics or not metrics[metric].notna().any()]:
        raise DataError(f"{directory} must hold rows with {', '.join(needed)}; it lacks {', '.join(lacking)}")
    batch = metrics[EPISODES].diff().fillna(metrics[EPISODES])
    if FURTHER in metrics:  # a controller is told of the responses that were trained on
        batch = batch / (1 + metrics[FURTHER].fillna(0))
    wrote = (batch > 0) & (batch <= EXACT)
    metrics, batch = metrics[wrote], batch[wrote]
    columns = {name: metrics[metric] for name, metric in heard_in(metrics.columns).items() if metric in metrics}
    return [
        Signals(**{name: float(column.iloc[row]) for name, column in columns.items()}, n_sequences=int(batch.iloc[row]))
        for row in range(len(metrics))
    ]


def heard_in(metrics: Collection[str]) -> dict[str, str]:
    """``METRIC_OF``, but for a KL to a moving reference where that is what the run's controller heard."""
    to_moving = {name: metric.replace("kl/ref_", "kl/anchor_") for name, metric in METRIC_OF.items()}
    return {name: to_moving[name] if to_moving[name] in metrics else metric for name, metric in METRIC_OF.items()}


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as CSV, numbers to the last bit.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"--output must be a file that can be written, got {path}: {error.strerror}") from error


def _signals(row: Mapping[str, Any], where: str) -> Signals:
    values: dict[str, Any] = {}
    for name in (*REQUIRED, *OPTIONAL):
        text = row.get(name)
        if text is None and name in OPTIONAL:
            continue
        try:
            values[name] = float(text if text is not None else "")
        except ValueError as error:
            raise DataError(f"{where}: {name} must be a number, got {text!r}") from error
    if "n_sequences" in values:
        if not 0 < values["n_sequences"] <= EXACT:
            raise DataError(f"{where}: n_sequences must be a number of responses, got {values['n_sequences']:g}")
        values["n_sequences"] = int(values["n_sequences"])
    return Signals(**values)
