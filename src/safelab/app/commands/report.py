"""``safelab report``: from run directories to tables, figures and a page."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safelab.app.arguments import Parser, at_home, place
from safelab.app.config.places import cache_directory
from safelab.errors import DataError

if TYPE_CHECKING:
    from safelab.results.compare.preset_gaps import Preset
    from safelab.results.published.read import Publication


def report(argv: Sequence[str]) -> int:
    """Compare the runs below the directories in ``argv``; prints the table, and last the finding and what to do next.

    Raises:
        UserError: an argument is wrong, or there is no run to report; nothing is created then.
    """
    arguments = parser().parse_args(list(argv))
    # What follows takes a second or two to import.
    from safelab.results.page.document import Choices, build_report
    from safelab.results.runs.load import load
    from safelab.runlog.long_form import is_long_form

    cache, unfinished = cache_directory() / "report", arguments.include_unfinished
    paper = None if arguments.paper is None else published(arguments.paper)
    loaded = load(arguments.directories, arguments.by, arguments.where, cache, unfinished)
    choices = Choices(
        baseline=arguments.baseline,
        metrics=arguments.metric,
        window=arguments.window,
        crash_policy=arguments.crash_policy,
        paper=paper,
        preset=None if paper is None else preset_beside(paper.name),
        columns=arguments.columns,
        command=shlex.join(["safelab", "report", *argv]),
    )
    found = build_report(loaded, choices)
    target = _output(arguments)

    from safelab.results.page.save import save
    from safelab.results.words.next_steps import next_steps
    from safelab.results.words.terminal import close, show

    page = save(found, target)
    show(found)
    folders = [str(folder) for folder in arguments.directories if not is_long_form(folder)]
    close(found, page.absolute(), next_steps(found, argv, folders))
    return 0


def published(name: str) -> "Publication":
    """The publication called ``name``.

    Raises:
        DataError: there is none; of a sweep it says what trains it.
    """
    from safelab.results.published.read import is_known, read

    if not is_known(name):
        from safelab.app.config.compose import opened
        from safelab.app.sweep.preset import sweeps

        with opened() as hydra:
            if name in sweeps(hydra):
                raise DataError(
                    f"--paper must be a publication that is known here, got {name!r}; it is a sweep: "
                    f"safelab train -m +sweep={name}, and safelab report outputs/{name}"
                )
    return read(name)


def preset_beside(name: str) -> "Preset | None":
    """What the publication's sweep would train; it needs Hydra, which a report does without otherwise."""
    from safelab.app.sweep.preset import preset_of

    return preset_of(name)


main = report
"""The name by which the command line finds it."""


def parser() -> Parser:
    """The arguments of ``safelab report``."""
    made = Parser(prog="safelab report", description="Compare runs: tables, figures, one HTML page.")
    made.add_argument(
        "directories",
        nargs="+",
        type=at_home,
        metavar="DIR",
        help="run directories, folders above some, globs; or a CSV or Parquet file in long form "
        "(run, arm, seed, update, metric, value)",
    )
    made.add_argument("--baseline", metavar="ARM", help="arm to compare with (the one that the study names)")
    made.add_argument(
        "--by",
        type=_keys,
        default=(),
        metavar="KEY[,KEY]",
        help="what makes an arm: overrides or keys of the configuration, as algorithm,critic (the arm as trained)",
    )
    made.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only runs with such a value; * and ? match; may be given again",
    )
    made.add_argument("--output", type=place, metavar="DIR", help="where to write (the first DIR's folder report)")
    made.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="measure (kl_final) or logged metric (policy/grad_norm) to put first; the first one leads the verdict",
    )
    made.add_argument(
        "--include-unfinished",
        action="store_true",
        help="count runs that failed, were interrupted or still run, too; they are left out, and named",
    )
    made.add_argument(
        "--columns",
        type=_columns,
        default=(),
        metavar="NAME[,NAME]",
        help="of table.tex and summary.md, as finished,reward_mean,kl_final,crash/reward; a wrong name lists them all",
    )
    made.add_argument("--window", type=_window, default=10, metavar="N", help="updates of a rolling mean (10)")
    made.add_argument(
        "--crash-policy",
        choices=("last_value", "floor", "exclude"),
        default="last_value",
        help="what crashed runs contribute to the averages (last_value)",
    )
    made.add_argument(
        "--paper",
        metavar="NAME",
        help="put a publication's numbers beside ours; `safelab reproduce --list` names those that are known",
    )
    return made


def _keys(value: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in value.split(",") if key.strip())


def _columns(value: str) -> tuple[str, ...]:
    if not (names := _keys(value)):
        raise argparse.ArgumentTypeError("must name at least one column; leave it out for the columns that fit a page")
    return names


def _window(value: str) -> int:
    if not value.isdigit() or int(value) < 2:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 2, got {value!r}")
    return int(value)


def _output(arguments: argparse.Namespace) -> Path:
    """Where the report goes: asked for, or beside the runs.

    Raises:
        DataError: the first argument is a glob, so that there is no folder to write into.
    """
    if arguments.output is not None:
        if arguments.output.exists() and not arguments.output.is_dir():
            raise DataError(f"--output must be a directory, got the file {arguments.output}; choose another")
        return Path(arguments.output)
    first = Path(arguments.directories[0])
    if not first.is_dir():
        raise DataError(f"--output must be given where the first DIR is a pattern, got {first}; add --output DIR")
    return first / "report"
