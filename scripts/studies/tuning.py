"""What the tuning scripts share: a grid is an ordinary sweep; the best setting of each method becomes an arm.

Settings are chosen by the mean gold score of the last tenth of the updates, because the reward is what gets gamed.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from safelab.runlog.reader import find_runs, read_run

Setting = Mapping[str, Any]
"""Overrides of one arm, as under ``arms:``."""

Grid = Mapping[str, Mapping[str, Setting]]
"""Method -> name of an arm -> its setting."""

WIDTH = 120
"""Longest line of a sweep's file; an arm that does not fit gets a line for each override."""


def flags_of(description: str, methods: Sequence[str], arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags of a tuning script, whose methods are ``methods``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="output_dir of the runs (outputs)")
    parser.add_argument("--seeds", default="100,101", help="seeds that the study does not use (100,101)")
    parser.add_argument(
        "--methods", nargs="+", default=list(methods), choices=methods, metavar="NAME", help="only these"
    )
    parser.add_argument("--overrides", nargs="+", default=[], metavar="KEY=VALUE", help="for every run, as updates=50")
    return parser.parse_args(arguments)


def tune(grid: Grid, experiment: str, flags: argparse.Namespace) -> None:
    """Run every setting of ``grid``, choose, and print what was found as the arms of a sweep.

    Running it again does what is missing.
    """
    arms = {name: dict(setting) for settings in grid.values() for name, setting in settings.items()}
    sweep({"experiment": experiment, "arms": arms, "seed": flags.seeds}, flags.output, flags.overrides)
    scores = gold_by_arm(flags.output / experiment)
    best = {}
    for method, settings in grid.items():
        ranked = sorted(settings, key=lambda name: scores[name], reverse=True)
        print(f"{method}, final gold score:", *(f"{name} {scores[name]:.3f}" for name in ranked), sep="\n  ")
        best[method] = settings[ranked[0]]
    print("\n" + block(best), end="")


def sweep(config: Mapping[str, Any], output: Path, overrides: Sequence[str]) -> None:
    """Run a sweep whose file is ``config``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sweep", "grid.yaml")
        file.parent.mkdir()
        file.write_text("# @package _global_\n" + yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
        call = "import sys; from safelab.app.cli import main; sys.exit(main())"
        command = ["train", "-m", "--config-dir", folder, "+sweep=grid", f"output_dir={output}", *overrides]
        subprocess.run([sys.executable, "-c", call, *command], check=True)


def gold_by_arm(folder: Path) -> dict[str, float]:
    """Mean gold score of the last tenth of the updates, averaged over seeds, by arm."""
    scores: dict[str, list[float]] = {}
    for directory in find_runs([folder]):
        run = read_run(directory)
        last = run.metrics.tail(max(1, len(run.metrics) // 10))
        scores.setdefault(run.info.arm, []).append(float(last["reward/gold_mean"].mean()))
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
