"""``safelab runs`` and ``safelab watch``: where the runs of a folder stand, once or until they are over."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safelab.app.arguments import Parser, at_home
from safelab.errors import ConfigError

DEFAULT_FOLDER = "outputs"


def main(arguments: Sequence[str]) -> int:
    """List the runs; returns the exit code.

    Raises:
        UserError: a wrong argument, or a folder without runs.
    """
    parser = _parser("runs", "List runs: status, arm, seed, updates, reward, KL, crashes, time left.")
    parser.add_argument("--json", action="store_true", help="one JSON object per run, for other programs")
    flags = parser.parse_args(list(arguments))

    from rich.console import Console

    from safelab.results.runs.overview import overview, standings, summary
    from safelab.runlog.schema import plain

    runs = standings(flags.folders)
    if flags.json:
        for run in runs:
            print(json.dumps(plain(asdict(run)), allow_nan=False))
        return 0
    console = Console()
    console.print(overview(runs, console.width))
    print(summary(runs))
    return 0


def watch(arguments: Sequence[str]) -> int:
    """Redraw the list until no run runs and no sweep has more to come, or until Ctrl-C; returns the exit code.

    Raises:
        UserError: a wrong argument, or a folder without runs.
    """
    parser = _parser("watch", "Redraw the list of runs while they run; Ctrl-C ends it, and touches no run.")
    parser.add_argument("--interval", type=_interval, default=2.0, metavar="SECONDS", help="between two looks (2)")
    flags = parser.parse_args(list(arguments))

    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from safelab.results.runs.overview import overview, standings, summary
    from safelab.runlog.lock import is_held

    runs = standings(flags.folders)
    console = Console()
    if not sys.stdout.isatty():
        raise ConfigError("safelab watch must have a terminal to redraw; safelab runs prints the list once")
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            live.update(Group(overview(runs, console.width), Text(summary(runs))), refresh=True)
            if not any(run.status == "running" for run in runs) and not any(map(is_held, experiments(runs))):
                return 0
            time.sleep(flags.interval)
            runs = standings(flags.folders)


def experiments(runs: Iterable[Any]) -> set[Path]:
    """The folders of the runs' experiments, which a sweep holds as long as it has jobs to come."""
    return {Path(run.directory).absolute().parents[1] for run in runs}


def _parser(name: str, description: str) -> Parser:
    parser = Parser(prog=f"safelab {name}", description=description)
    help_text = f"run directories, folders above some, or globs ({DEFAULT_FOLDER})"
    parser.add_argument("folders", nargs="*", type=at_home, default=[DEFAULT_FOLDER], metavar="DIR", help=help_text)
    return parser


def _interval(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be between 0.1 and 3600, got {value!r}")
    return seconds
