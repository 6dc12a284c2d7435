"""What a reader of a report may want to do next: commands that work as they stand."""

import shlex
from collections.abc import Sequence

from safelab.results.model import Report

MOST = 2
"""Commands that are shown."""

SEEDS = 10
"""Seeds that are proposed where there were too few for the tests."""

FEW = 5
"""Runs of an arm below which more seeds are proposed."""

GOLD = "gold_final"

Step = tuple[str, str]
"""A command, and what it is for."""


def next_steps(report: Report, arguments: Sequence[str], folders: Sequence[str]) -> list[Step]:
    """One or two commands, the most useful first.

    Args:
        report: what was found.
        arguments: of the ``safelab report`` that made it; the commands that report again keep them.
        folders: those of its directories that hold runs, and no table of another program.
    """
    again = ["safelab", "report", *arguments]
    counted = [arm for arm in report.arms if arm.counted]
    steps: list[Step] = []
    if not counted:
        steps.append((shlex.join([*again, "--include-unfinished"]), "what there is of the unfinished runs"))
    elif report.baseline is None and len(report.arms) > 1:
        steps.append((shlex.join([*again, "--baseline", counted[0].whole]), "the others compared with this arm"))
    if folders and any(arm.unfinished for arm in report.arms):
        steps.append((shlex.join(["safelab", "runs", *folders]), "where each run stands"))
    if (more := _more_seeds(report)) is not None:
        steps.append((more, "more seeds: the runs that are done stay"))
    if report.primary != GOLD and "--metric" not in arguments and any(arm.estimates[GOLD].n for arm in counted):
        steps.append((shlex.join([*again, "--metric", GOLD]), "by the gold score, first"))
    if not steps and folders:
        steps.append((shlex.join(["safelab", "runs", *folders]), "every run in one line"))
    return steps[:MOST] or [("safelab report --help", "measures, baselines, choices of runs")]


def _more_seeds(report: Report) -> str | None:
    """The sweep that made the runs, with more seeds; None where there are enough, or it cannot be repeated so."""
    finished = [run for run in report.runs if run.counted and not run.duplicate]
    commands = {run.command for run in finished}
    if len(commands) != 1 or max(arm.counted for arm in report.arms) >= FEW:
        return None
    try:
        words = shlex.split(command := commands.pop())
    except ValueError:
        return None
    sweeps = any(word in ("-m", "--multirun") or word.lstrip("+").startswith("sweep=") for word in words)
    told = any(word.startswith("seed=") for word in words)
    is_ours = words[:2] == ["safelab", "train"] and sweeps and not told
    return f"{command} {shlex.quote(f'seed=range({SEEDS})')}" if is_ours else None
