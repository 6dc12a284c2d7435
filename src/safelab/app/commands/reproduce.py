"""``safelab reproduce``: run a run again from its own record, and compare the rows to the last bit."""

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from safelab.app.arguments import Parser, place
from safelab.app.config.from_run import config_of, parts_of
from safelab.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

CLOCKED = ("time/", "speed/", "memory/")
"""Metrics that no two runs share."""


def main(arguments: Sequence[str]) -> int:
    """Train again in a scratch folder; 0 if every row is the same, else 1 and the first difference.

    Raises:
        UserError: a wrong argument, or no run with at least one row.
    """
    parser = Parser(
        prog="safelab reproduce",
        description="Run a run again from its own configuration and compare the rows of metrics.jsonl. On a CPU they "
        "are equal to the last bit; on a GPU, give --tolerance.",
    )
    parser.add_argument("run", type=place, metavar="RUN", help="a run directory")
    parser.add_argument("--updates", type=int, metavar="N", help="only the first N updates (all that the run made)")
    parser.add_argument("--tolerance", type=float, default=0.0, metavar="X", help="largest relative difference (0)")
    flags = parser.parse_args(list(arguments))

    from safelab.runlog.fingerprints import since
    from safelab.runlog.reader import read_run

    config = config_of(flags.run)
    there = read_run(flags.run)
    made = len(there.metrics)
    if made == 0 or (flags.updates is not None and not 1 <= flags.updates <= made):
        raise DataError(f"{flags.run} must have the rows that are to be compared, got {made} of {flags.updates or 1}")
    count = flags.updates or made
    for name, then in there.info.versions.items():
        now = _version(name)
        if now not in (then, None):
            print(f"note: {name} was {then}, is {now}")

    for key, names in since(flags.run, config).items():
        print(f"note: {key} has changed since the run began: {', '.join(names)}")

    rows = again(config, count)
    then_rows = records(there.metrics.head(count))
    for then_row, row in zip(then_rows, rows, strict=True):
        if differing := differences(then_row, row, flags.tolerance):
            print(f"update {row['update']} differs: {differing}")
            return 1
    print(f"{count} of {made} updates are the same{'' if flags.tolerance else ' to the last bit'}")
    return 0


def again(config: Mapping[str, Any], updates: int) -> list[dict[str, Any]]:
    """The first rows of a fresh run of ``config``; it is made in a folder that is removed."""
    from safelab.app.console import progress
    from safelab.runlog.reader import read_run
    from safelab.training.lifecycle.run import train

    with tempfile.TemporaryDirectory(prefix="safelab-reproduce-") as folder:
        own = {**config, "output_dir": folder, "updates": updates, "checkpoint": {"every": 0, "keep": 1, "best": None}}
        with progress() as say:
            parts = parts_of(own, say)
        outcome = train(parts, own, [], "safelab reproduce")
        return records(read_run(outcome.directory).metrics)


def records(metrics: "pd.DataFrame") -> list[dict[str, Any]]:
    """One mapping per update."""
    return [{str(name): value for name, value in row.items()} for row in metrics.to_dict("records")]


def differences(then: Mapping[str, Any], now: Mapping[str, Any], tolerance: float) -> str:
    """The metrics that differ, with both values; nothing where none does."""
    names = [name for name in {**then, **now} if not name.startswith(CLOCKED)]
    odd = [name for name in names if not same(then.get(name), now.get(name), tolerance)]
    return ", ".join(f"{name} {then.get(name)!r} then, {now.get(name)!r} now" for name in odd[:5])


def same(left: Any, right: Any, tolerance: float) -> bool:
    """Equal, both missing, or within ``tolerance`` of each other."""
    if left == right or (left != left and right != right):
        return True
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    return bool(numbers and abs(left - right) <= tolerance * max(abs(left), abs(right)))


def _version(name: str) -> str | None:
    import platform
    from importlib.metadata import PackageNotFoundError

    if name == "python":
        return platform.python_version()
    try:
        return version(name)
    except PackageNotFoundError:
        return None
