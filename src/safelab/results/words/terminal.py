"""The arms as a table in the terminal, and what was found in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from safelab.crash.table import kind_of
from safelab.errors import printable
from safelab.results import text
from safelab.results.model import Report
from safelab.results.names import shortened
from safelab.results.paper_model import Paper
from safelab.results.words import beside_paper
from safelab.results.words.definitions import label
from safelab.results.words.next_steps import Step

SHOWN = ("reward_mean", "reward_final", "gold_final", "kl_mean", "entropy_final")
MEASURE, KIND, RUNS, GAP = 16, 8, 8, 2
"""Characters that a column of numbers, one of crashes and that of runs takes, and the space before each."""
NAME = 32
"""Most characters of an arm's name: its middle gives way before a number does."""
IN_TERMINAL = ("Arm", "Quantity", "Published", "Here", "Difference", "Verdict")
"""Columns of the table beside a paper."""
LEAST = 10
"""Characters that a name has left where the terminal is narrow."""


def show(report: Report, console: Console | None = None) -> None:
    """Print the table of arms and the notes; text of runs is never read as markup.

    Columns that do not fit beside one another come in a further table: none is left out. A name that is cut stands
    whole below.
    """
    console = console or Console()
    short = shortened([printable(arm.name) for arm in report.arms], min(NAME, max(LEAST, console.width // 4)))
    names = list(short.values())
    room = console.width - max(map(len, names))
    title: Text | None = Text(printable(report.title))
    for columns in _side_by_side(_columns(report), room):
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        table.add_column("arm", no_wrap=True)
        for column in columns:
            table.add_column(Text(column.head), justify="right")
        for index, name in enumerate(names):
            table.add_row(*(Text(cell) for cell in (name, *(column.cells[index] for column in columns))))
        console.print(table)
        console.print()
        title = None
    for name, arm in zip(names, report.arms, strict=True):
        if name != printable(arm.whole):
            console.print(Text(f"{name} is {printable(arm.whole)}"))
    for sentence in report.notes:
        console.print(Text(f"note: {printable(sentence)}"))
    if report.paper is not None:
        show_paper(report.paper, console)


def show_paper(paper: Paper, console: Console) -> None:
    """The published numbers beside ours, and what differs; margins and places stand on the page."""
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in IN_TERMINAL:
        table.add_column(name)
    for row in paper.rows:
        cells = dict(zip(beside_paper.HEADS, beside_paper.cells(row), strict=True))
        table.add_row(*(Text(printable({**cells, "Quantity": row.quantity}[name])) for name in IN_TERMINAL))
    console.print(table)
    console.print()
    notes = dict.fromkeys(f"{row.quantity}: {row.note}" for row in paper.rows if row.note)
    differs = [f"Differs: {line}" for line in paper.departures]
    for sentence in [*notes, *beside_paper.summary(paper), *differs]:
        console.print(Text(printable(sentence)))
    console.print()


def close(report: Report, page: Path, steps: Sequence[Step], console: Console | None = None) -> None:
    """The last lines: what was found, where the page lies, what to try next. Paths and commands are never broken."""
    console = console or Console()
    headline, *further = report.findings
    for head, sentences in (("Found", [headline]), ("But", report.caveats), ("Also", further)):
        for sentence in sentences:
            console.print(Text(f"{head}: {printable(sentence)}"))
    console.print(Text(f"Page: {printable(str(page))}"), soft_wrap=True)
    for command, purpose in steps:
        console.print(Text(f"Next: {printable(command)}  # {purpose}"), soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table: its head, a cell for each arm, and the characters that it takes."""

    head: str
    cells: Sequence[str]
    width: int


def _columns(report: Report) -> list[Column]:
    """Runs, measures, crashes."""
    kinds = [definition.kind for definition in report.definitions if kind_of(definition.kind).headline]
    measures = [m for m in report.measures if m.key in SHOWN or m.key == report.primary]
    counts = [f"{arm.finished} of {arm.started}" for arm in report.arms]
    found = [Column(head="runs\nfinished", cells=counts, width=max(RUNS, *map(len, counts)))]
    if any(arm.diverged.k for arm in report.arms):
        cells = [text.crashed(arm.diverged) for arm in report.arms]
        found.append(Column(head="runs\ndiverged", cells=cells, width=max(KIND, *map(len, cells))))
    for m in measures:
        cells = [text.estimate(arm.estimates[m.key], m).replace(" [", "\n[") for arm in report.arms]
        wide = max(len(line) for cell in cells for line in cell.split("\n"))
        name = head(printable(m.label), m.unit, MEASURE)
        found.append(Column(head=name, cells=cells, width=max(MEASURE, wide)))
    for kind in kinds:
        cells = [text.crashed(arm.crashed.get(kind)) for arm in report.arms]
        found.append(Column(head=head(label(kind), "runs", KIND), cells=cells, width=max(KIND, *map(len, cells))))
    return found


def _side_by_side(columns: Sequence[Column], room: int) -> list[list[Column]]:
    """The columns in as few tables as hold them beside the names, at least one in each."""
    tables: list[list[Column]] = [[]]
    for column in columns:
        taken = sum(other.width + GAP for other in tables[-1])
        if tables[-1] and taken + column.width + GAP > room:
            tables.append([])
        tables[-1].append(column)
    return tables


def head(name: str, unit: str, width: int) -> str:
    """A column's head: its name on as many lines as it takes, and its unit."""
    return "\n".join([*wrap(name, width), unit])
