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
from safelab.results.names import shortened
from safelab.runlog.files import finite, read_regular
from safelab.runlog.reader import find_runs, is_row
from safelab.runlog.schema import METRICS_FILE, RunInfo
from safelab.runlog.writer import read_info

TAIL = 64 * 1024
"""Bytes of ``metrics.jsonl`` that hold more than its last row."""

SHORTEST_NAME = 10
"""Least characters of an arm's name: it gives way before any number does."""

LARGEST_PID = 2**31
"""Process numbers lie below it, and from 1 on: 0 and less stand for groups of processes."""

LONGEST_S = 100 * 366 * 86_400
"""A time that is left beyond a century is no forecast."""

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

    ``status`` is that of ``run.json``, or ``gone`` for a run whose process ended without a word. ``host``: the machine
    where it runs, or ran last; empty where its record does not say.
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
    host: str = ""


def standings(paths: Iterable[str | Path]) -> list[Standing]:
    """Every run at or below ``paths``, by experiment, arm and seed; one that cannot be read says so as its status."""
    found = [_standing(directory) for directory in find_runs(paths)]
    return sorted(found, key=lambda run: (run.experiment, run.arm, run.seed))


def overview(runs: Sequence[Standing], width: int) -> Table:
    """The runs as a table for a terminal; names of runs are never read as markup.

    The experiment stands before the arm where there are several, and the machine behind all where one is not this one.
    Names that do not fit into ``width`` characters beside the numbers lose what they share, then their middle. Where it
    is too narrow even so, columns move together and those that say nothing are left out; what is left goes on in a
    second line, and no number is lost.
    """
    several = len({run.experiment for run in runs}) > 1
    cells, heads, gap = [_cells(run) for run in runs], list(HEADS), GAP
    if any(run.host not in ("", platform.node()) for run in runs):
        heads = [*heads, "host"]
        cells = [[*row, printable(run.host.split(".")[0])] for row, run in zip(cells, runs, strict=True)]
    if _taken(heads, cells, gap) + SHORTEST_NAME > width:
        gap = 1
        kept = [place for place, column in enumerate(zip(*cells, strict=True)) if {*column} != {text.NOTHING}]
        heads, cells = [heads[place] for place in kept], [[row[place] for place in kept] for row in cells]
    names = [printable(f"{run.experiment}/{run.arm}" if several else run.arm) for run in runs]
    short = shortened(names, max(SHORTEST_NAME, width - _taken(heads, cells, gap)))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    table.add_column("arm", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="left" if head in ("status", "host") else "right", overflow="fold")
    for run, name, row in zip(runs, names, cells, strict=True):
        styles = {"status": STYLES.get(run.status, ""), "crash": "red" if run.crashes else ""}
        shown = [Text(cell, style=styles.get(head, "")) for head, cell in zip(heads, row, strict=True)]
        table.add_row(Text(short[name]), *shown)
    return table


def _taken(heads: Sequence[str], cells: Sequence[Sequence[str]], gap: int) -> int:
    """Characters that the columns beside the names take."""
    return sum(gap + max(len(cell) for cell in column) for column in zip(heads, *cells, strict=True))


def _cells(run: Standing) -> list[str]:
    """What ``HEADS`` name, of one run."""
    return [
        str(run.seed),
        run.status,
        f"{run.done}/{run.planned}",
        text.number(run.reward, 3),
        text.number(run.kl, 3),
        text.NOTHING if run.crashes is None else str(run.crashes),
        clock(run.left_s),
    ]


HEADS = ("seed", "status", "updates", "reward", "KL", "crash", "left")
GAP = 2


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
            directory=str(directory), experiment=directory.parent.parent.name, arm=directory.parent.name, seed=-1,
            status="unreadable", done=0, planned=0, reward=None, kl=None, crashes=None, left_s=None,
        )  # fmt: skip
    row, crashes = _end_of(directory / METRICS_FILE)
    done = int(row["update"]) + 1 if row else 0
    status = "gone" if info.status == "running" and not _lives(info) else info.status
    pace = finite(row.get("time/total_s"))
    left = None if pace is None or status != "running" else (info.updates - done) * pace
    return Standing(
        directory=str(directory),
        experiment=info.experiment,
        arm=info.arm,
        seed=info.seed,
        status=status,
        done=done,
        planned=info.updates,
        reward=finite(row.get("reward/mean")),
        kl=finite(row.get("kl/ref_token_exact")),
        crashes=crashes,
        left_s=left if left is not None and 0 <= left <= LONGEST_S else None,
        host=info.host or "",
    )


def _end_of(path: Path) -> tuple[dict[str, Any], int | None]:
    """The last whole row, and how many reward crashes there were, counted without parsing the rest."""
    try:
        content = read_regular(path)
    except OSError:
        return {}, None
    crashes = content.count(b'"crash/reward":1') if b'"crash/reward"' in content[-TAIL:] else None
    for line in reversed(content[-TAIL:].split(b"\n")):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if is_row(row):
            return row, crashes
    return {}, crashes


def _lives(info: RunInfo) -> bool:
    """Whether the run's process is there, as far as this machine can tell."""
    if info.pid is None or info.host != platform.node():
        return True
    if not 0 < info.pid < LARGEST_PID:
        return False
    try:
        os.kill(info.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
