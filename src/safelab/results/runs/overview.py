"""Where runs stand now: what ``safelab runs`` lists and ``safelab watch`` redraws. Reads the end of each file only."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from safelab.errors import DataError, printable
from safelab.results import text
from safelab.runlog.reader import find_runs
from safelab.runlog.schema import METRICS_FILE, RunInfo
from safelab.runlog.writer import read_info

TAIL = 64 * 1024
"""Bytes of ``metrics.jsonl`` that hold more than its last row."""

SHORTEST_NAME, NUMBERS = 16, 63
"""Least characters of an arm's name, and those that the other columns take at their widest."""

STYLES = {
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "gone": "red",
    "diverged": "red",
    "failed": "red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One run. ``done`` of ``planned`` updates; ``crashes``: of the reward; ``left_s``: None unless it runs.

    ``status`` is that of ``run.json``, or ``gone`` for a run whose process ended without a word.
    """

    directory: str
    experiment: str
    arm: str
    seed: int
    status: str
    done: int
    planned: int
    reward: float | None
    kl: float | None
    crashes: int | None
    left_s: float | None


def standings(paths: Iterable[str | Path]) -> list[Standing]:
    """Every run at or below ``paths``, by experiment, arm and seed; one that cannot be read says so as its status."""
    found = [_standing(directory) for directory in find_runs(paths)]
    return sorted(found, key=lambda run: (run.experiment, run.arm, run.seed))


def overview(runs: Sequence[Standing], width: int) -> Table:
    """The runs as a table for a terminal; names of runs are never read as markup.

    The experiment stands before the arm where there are several. Names that do not fit into ``width`` characters beside
    the numbers lose their middle, not their end.
    """
    several = len({run.experiment for run in runs}) > 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("arm", no_wrap=True)
    for name in ("seed", "status", "updates", "reward", "KL", "crash", "left"):
        table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True)
    for run in runs:
        name = f"{run.experiment}/{run.arm}" if several else run.arm
        crashes = text.NOTHING if run.crashes is None else str(run.crashes)
        table.add_row(
            Text(printable(text.short(name, max(SHORTEST_NAME, width - NUMBERS)))),
            str(run.seed),
            Text(run.status, style=STYLES.get(run.status, "")),
            f"{run.done}/{run.planned}",
            text.number(run.reward, 3),
            text.number(run.kl, 3),
            Text(crashes, style="red" if run.crashes else ""),
            clock(run.left_s),
        )
    return table


def summary(runs: Sequence[Standing]) -> str:
    """``12 runs: 9 finished, 2 running, 1 failed``."""
    statuses = [run.status for run in runs]
    counts = [f"{statuses.count(status)} {status}" for status in dict.fromkeys(sorted(statuses, key=_rank))]
    return f"{len(runs)} run{'s' * (len(runs) != 1)}: {', '.join(counts)}"


def clock(seconds: float | None) -> str:
    """``1:02:03``, ``4:05``; a dash for nothing."""
    if seconds is None:
        return text.NOTHING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _rank(status: str) -> int:
    order = list(STYLES)
    return order.index(status) if status in order else len(order)


def _standing(directory: Path) -> Standing:
    try:
        info = read_info(directory)
    except DataError:
        return Standing(
            directory=str(directory), experiment="", arm=directory.parent.name, seed=-1, status="unreadable",
            done=0, planned=0, reward=None, kl=None, crashes=None, left_s=None,
        )  # fmt: skip
    row, crashes = _end_of(directory / METRICS_FILE)
    done = int(row["update"]) + 1 if row else 0
    status = "gone" if info.status == "running" and not _lives(info) else info.status
    pace = row.get("time/total_s")
    running = status == "running" and isinstance(pace, float)
    return Standing(
        directory=str(directory),
        experiment=info.experiment,
        arm=info.arm,
        seed=info.seed,
        status=status,
        done=done,
        planned=info.updates,
        reward=_number(row.get("reward/mean")),
        kl=_number(row.get("kl/ref_token_exact")),
        crashes=crashes,
        left_s=(info.updates - done) * float(pace) if running and pace is not None else None,
    )


def _end_of(path: Path) -> tuple[dict[str, Any], int | None]:
    """The last whole row, and how many reward crashes there were, counted without parsing the rest."""
    try:
        content = path.read_bytes()
    except OSError:
        return {}, None
    crashes = content.count(b'"crash/reward":1') if b'"crash/reward"' in content[-TAIL:] else None
    for line in reversed(content[-TAIL:].split(b"\n")):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("update"), int):
            return row, crashes
    return {}, crashes


def _lives(info: RunInfo) -> bool:
    """Whether the run's process is there, as far as this machine can tell."""
    if info.pid is None or info.host != platform.node():
        return True
    try:
        os.kill(info.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
