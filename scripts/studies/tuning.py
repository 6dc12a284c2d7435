"""What the tuning scripts share: a grid is an ordinary sweep; the best setting of each method becomes an arm.

Settings are chosen by the mean gold score of the last tenth of the updates, because the reward is what gets gamed. A
setting of which any run diverged is never chosen. ``ledger.csv`` holds every setting that was tried, with its score.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from safelab.errors import RunFailed
from safelab.runlog.reader import find_runs, read_run

Setting = Mapping[str, Any]
"""Overrides of one arm, as under ``arms:``."""

Grid = Mapping[str, Mapping[str, Setting]]
"""Method -> name of an arm -> its setting."""

DIVERGED = -math.inf
"""The score of a setting of which a run diverged: it is never chosen."""

WIDTH = 120
"""Longest line of a sweep's file; an arm that does not fit gets a line for each override."""


def flags_of(
    description: str, methods: Sequence[str], arguments: Sequence[str] | None = None, worlds: Sequence[str] = ()
) -> argparse.Namespace:
    """The flags of a tuning script for ``methods``, and for one of ``worlds`` where there are several."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="output_dir of the runs (outputs)")
    parser.add_argument("--seeds", default="100,101", help="seeds that the study does not use (100,101)")
    parser.add_argument(
        "--methods", nargs="+", default=list(methods), choices=methods, metavar="NAME", help="only these"
    )
    parser.add_argument("--overrides", nargs="+", default=[], metavar="KEY=VALUE", help="for every run, as updates=50")
    if worlds:
        parser.add_argument("--world", default=worlds[0], choices=worlds, help=f"embedded world ({worlds[0]})")
    return parser.parse_args(arguments)


def tune(grid: Grid, experiment: str, flags: argparse.Namespace) -> None:
    """Run every setting of ``grid``, choose, and print what was found as the arms of a sweep.

    Running it again does what is missing.
    """
    arms = {name: dict(setting) for settings in grid.values() for name, setting in settings.items()}
    sweep({"experiment": experiment, "arms": arms, "seed": flags.seeds}, flags.output, flags.overrides)
    folder = flags.output / experiment
    ledger = ledger_of(grid, gold_by_arm(folder))
    pd.DataFrame(ledger).to_csv(folder / "ledger.csv", index=False)
    for method in grid:
        tried = sorted((row for row in ledger if row["method"] == method), key=itemgetter("gold"), reverse=True)
        print(f"{method}, final gold score:", *(f"{row['setting']} {row['gold']:.3f}" for row in tried), sep="\n  ")
    chosen = {row["method"]: grid[row["method"]][row["setting"]] for row in ledger if row["chosen"]}
    print("\n" + block(chosen), end="")


def ledger_of(grid: Grid, scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row for each setting that was tried: ``method``, ``setting``, ``gold``, and whether it was ``chosen``.

    Raises:
        RunFailed: every setting of a method has a run that diverged.
    """
    rows: list[dict[str, Any]] = []
    for method, settings in grid.items():
        best = max(settings, key=scores.__getitem__)  # of equal ones the first
        if scores[best] == DIVERGED:
            raise RunFailed(f"{method}: each of its {len(settings)} settings has a run that diverged; none to choose")
        for name in settings:
            rows.append({"method": method, "setting": name, "gold": scores[name], "chosen": name == best})
    return rows


def sweep(config: Mapping[str, Any], output: Path, overrides: Sequence[str]) -> None:
    """Run a sweep whose file is ``config``; runs that diverge are results, other failures are not.

    Raises:
        CalledProcessError: the sweep failed as a whole.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sweep", "grid.yaml")
        file.parent.mkdir()
        file.write_text("# @package _global_\n" + yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
        call = "import sys; from safelab.app.cli import main; sys.exit(main())"
        command = ["train", "-m", "--config-dir", folder, "+sweep=grid", f"output_dir={output}", *overrides]
        ended = subprocess.run([sys.executable, "-c", call, *command], check=False)
        if ended.returncode not in (0, RunFailed.exit_code):
            ended.check_returncode()


def gold_by_arm(folder: Path) -> dict[str, float]:
    """Mean gold score of the last tenth of the updates, averaged over seeds, by arm; ``DIVERGED`` where a run did.

    Raises:
        RunFailed: a run neither finished nor diverged.
    """
    scores: dict[str, list[float]] = {}
    for directory in find_runs([folder]):
        run = read_run(directory)
        if run.info.status not in ("finished", "diverged"):
            raise RunFailed(f"{directory} is {run.info.status}, so its setting has no score: {run.info.reason}")
        last = run.metrics.tail(max(1, len(run.metrics) // 10))
        gold = float(last["reward/gold_mean"].mean()) if run.info.status == "finished" else DIVERGED
        scores.setdefault(run.info.arm, []).append(gold)
    return {arm: sum(own) / len(own) for arm, own in scores.items()}


def block(arms: Mapping[str, Setting]) -> str:
    """``arms:`` as it stands in the file of a sweep."""
    lines = ["arms:"]
    for name, setting in arms.items():
        flow = yaml.safe_dump(dict(setting), sort_keys=False, default_flow_style=True, width=10_000).strip()
        if len(line := f"  {name}: {flow}") <= WIDTH:
            lines.append(line)
        else:
            lines += [f"  {name}:", *(f"    {key}: {_scalar(value)}" for key, value in setting.items())]
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    return yaml.safe_dump(value).split("\n")[0]
