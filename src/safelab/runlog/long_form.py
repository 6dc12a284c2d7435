"""Curves of other trainers: a CSV or Parquet table in long form, one value a line.

    run, arm, seed, update, metric, value

Metrics bear the names of docs/metrics.md where they mean the same, so that they enter the same tables.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from safelab.errors import DataError, printable
from safelab.runlog.files import EXACT
from safelab.runlog.frame_cache import Damage
from safelab.runlog.reader import RunRecord
from safelab.runlog.schema import RENAMED, RunInfo

COLUMNS = ("run", "arm", "seed", "update", "metric", "value")
NOT_FINITE = ("nan", "inf", "infinity")
"""How programs write a value that is not finite, whatever its case and sign."""
SUFFIXES = (".csv", ".parquet")


def is_long_form(path: str | Path) -> bool:
    """Whether ``path`` names such a table."""
    return Path(path).suffix in SUFFIXES


def read_long_form(path: str | Path) -> list[RunRecord]:
    """Its runs, each taken as finished: what a table does not say, it cannot say against a run.

    A value that is no number is skipped and named, like a damaged line of a run of ours; of a repeated one the last
    stands.

    Raises:
        DataError: no such file, no table, a column is missing, or a run has two arms or seeds.
    """
    path = Path(path)
    table = _read(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise DataError(
            f"{path} must have the columns {', '.join(COLUMNS)}, got {', '.join(map(str, table.columns))}; "
            f"missing: {', '.join(missing)}"
        )
    for name in ("seed", "update"):
        whole = pd.to_numeric(table[name], errors="coerce")
        bad = table[name][whole.isna() | (whole % 1 != 0) | (whole < 0) | (whole > EXACT)]
        if len(bad):
            raise DataError(f"{path}: {name} must be a whole number of at least 0, got {bad.tolist()[0]!r}")
        table[name] = whole.astype(np.int64)
    table["metric"] = table["metric"].astype(str).map(printable).replace(RENAMED)
    return [_run(path, str(name), rows) for name, rows in table.groupby("run", sort=True)]


def _read(path: Path) -> pd.DataFrame:
    if path.exists() and not path.is_file():
        raise DataError(f"{path} must be a regular file")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        # Only an empty cell is nothing: an arm may be called NA, and a value of nan was written as one.
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except FileNotFoundError as error:
        raise DataError(f"{path} must be a readable file ({error.strerror})") from error
    except (ValueError, OSError) as error:  # pandas' parser errors, pyarrow's, and half a file
        raise DataError(
            f"{path} must be a table in long form, and cannot be read: {str(error).splitlines()[0]}"
        ) from error


def _run(path: Path, name: str, rows: pd.DataFrame) -> RunRecord:
    for key in ("arm", "seed"):
        if rows[key].nunique() != 1:
            found = ", ".join(map(str, rows[key].unique()[:3]))
            raise DataError(f"{path}: a run must have one {key}, got {found} for run {name!r}")
    value = pd.to_numeric(rows["value"], errors="coerce")
    written = rows["value"].astype(str).str.strip().str.lower().str.lstrip("+-")
    not_finite = rows["value"].notna() & written.isin(NOT_FINITE)
    odd = rows[value.isna() & rows["value"].notna() & ~not_finite]
    wide = (
        rows.assign(value=value)
        .drop_duplicates(["update", "metric"], keep="last")
        .pivot(index="update", columns="metric", values="value")
        .reset_index()
    )
    wide.columns.name = None
    arm, seed = str(rows["arm"].iloc[0]), int(rows["seed"].iloc[0])
    updates = int(wide["update"].max()) + 1
    return RunRecord(
        directory=path / name,
        info=RunInfo(
            status="finished",
            experiment=path.stem,
            arm=arm,
            seed=seed,
            updates=updates,
            last_update=updates - 1,
            started="",
        ),
        config={},
        overrides=[],
        metrics=wide,
        samples=[],
        events=[],
        damaged=[
            Damage(file=path.name, line=index + 2, reason=f"{metric} is no number: {value!r}")
            for index, metric, value in zip(odd.index.tolist(), odd["metric"], odd["value"], strict=True)
        ],
        non_finite={str(name): int(count) for name, count in rows.loc[not_finite, "metric"].value_counts().items()},
    )
