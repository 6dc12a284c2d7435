"""``safelab reproduce``: run a run again from its own record, and compare the rows to the last bit.

``--paper NAME`` trains what a publication trained instead, and compares the numbers.
"""

import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from safelab.app.arguments import Parser, of_a_run
from safelab.app.commands import _paper
from safelab.app.config.from_run import config_of, parts_of
from safelab.errors import INTERRUPTED, DataError
from safelab.runlog.schema import ROLLBACK

if TYPE_CHECKING:
    import pandas as pd

    from safelab.training.lifecycle.run import Outcome

HERE = {"resume": {"mode": "auto", "allow": []}, "limit": {"minutes": None}}
"""What a run was told of its own folder and time, and the scratch folder is not."""

CLOCKED = ("time/", "speed/", "memory/")
"""Metrics that no two runs share."""


def main(arguments: Sequence[str]) -> int:
    """Train again in a scratch folder; 0 if every row is the same, else 1 and the first difference.

    With ``--paper`` see ``_paper.reproduce``.

    Raises:
        UserError: a wrong argument, or no run with at least one row.
    """
    published = Parser(prog="safelab reproduce", add_help=False, allow_abbrev=False)
    of_papers(published)
    chosen, others = published.parse_known_args(list(arguments))
    if not {"-h", "--help"}.intersection(others):
        if chosen.list:
            return _paper.listing()
        if chosen.paper is not None:
            return _paper.reproduce(chosen.paper, others)
    flags = parser().parse_args(list(arguments))

    from safelab.runlog.fingerprints import since
    from safelab.runlog.reader import read_run
    from safelab.training.lifecycle.told import other_versions

    config = config_of(flags.run, flags.trust)
    there = read_run(flags.run)
    made = len(there.metrics)
    if made == 0 or (flags.updates is not None and not 1 <= flags.updates <= made):
        raise DataError(f"{flags.run} must have the rows that are to be compared, got {made} of {flags.updates or 1}")
    count = flags.updates or made
    for changed in other_versions(there.info.versions):
        print(f"note: {changed}")

    for key, names in since(flags.run, config).items():
        print(f"note: {key} has changed since the run began: {', '.join(names)}")

    then_rows = {row["update"]: row for row in records(there.metrics.head(count))}
    # A rollback made the rows before it again, so the run has to come as far as that.
    rollbacks = [event["update"] for event in there.events if event.get("kind") == ROLLBACK]
    rows, outcome = again(config, 1 + max([*then_rows, *rollbacks]))
    for update, row in rows.items():
        if differing := differences(then_rows.get(update, row), row, flags.tolerance):
            print(f"update {update} differs: {differing}")
            return 1
    if not then_rows.keys() <= rows.keys():
        print(f"this time it ended after {len(rows)} updates, which are the same: {outcome.reason}")
        return INTERRUPTED if outcome.status == "interrupted" else 1
    print(f"{count} of {made} updates are the same{'' if flags.tolerance else ' to the last bit'}")
    return 0


def parser() -> Parser:
    """The arguments of ``safelab reproduce RUN``; its help tells of papers, too."""
    made = of_a_run(
        prog="safelab reproduce",
        description="Run a run again from its own configuration and compare the rows of metrics.jsonl. On a CPU they "
        "are equal to the last bit; on a GPU, give --tolerance. With --paper: train what a publication trained, and "
        "compare its numbers with ours.",
    )
    made.usage = USAGE
    made.add_argument("--updates", type=int, metavar="N", help="only the first N updates (all that the run made)")
    made.add_argument("--tolerance", type=float, default=0.0, metavar="X", help="largest relative difference (0)")
    of_papers(made)
    return made


def of_papers(made: Parser) -> None:
    """The arguments that choose a publication."""
    made.add_argument(
        "--paper",
        metavar="NAME",
        help="in place of RUN: train the preset sweep=NAME, with overrides as `safelab train` takes them "
        "(dry_run=true: only say what it needs), then write the report that puts its numbers beside ours",
    )
    made.add_argument("--list", action="store_true", help="the publications that --paper knows")


USAGE = """safelab reproduce RUN [--trust] [--updates N] [--tolerance X]
       safelab reproduce --paper NAME [KEY=VALUE ...]
       safelab reproduce --list"""


def again(config: Mapping[str, Any], updates: int) -> tuple[dict[int, dict[str, Any]], "Outcome"]:
    """The first rows of a fresh run of ``config``, by update, and how it ended; its folder is removed."""
    from safelab.app.console import progress
    from safelab.runlog.reader import read_run
    from safelab.training.lifecycle.run import train

    with tempfile.TemporaryDirectory(prefix="safelab-reproduce-") as folder:
        own = {**config, "output_dir": folder, "updates": updates, **HERE, "checkpoint": checkpoints(config)}
        with progress() as say:
            parts = parts_of(own, say)
        outcome = train(parts, own, [], "safelab reproduce")
        return {row["update"]: row for row in records(read_run(outcome.directory).metrics)}, outcome


def checkpoints(config: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the run's guard goes back to, which decide its rows; otherwise as few as can be."""
    own = {**config["checkpoint"], "best": None}
    return {**own, "every": 0, "keep": 1} if config["guard"]["name"] in ("none", "stop") else own


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
