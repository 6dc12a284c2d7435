"""The arms as a table in the terminal."""

from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from safelab.crash.table import kind_of
from safelab.errors import printable
from safelab.results import text
from safelab.results.model import Report
from safelab.results.words.definitions import label

SHOWN = ("reward_mean", "reward_final", "gold_final", "kl_mean", "entropy_final")
MEASURE, KIND = 16, 7
"""Characters that a column of numbers, and one of crashes, takes without the space before it."""


def show(report: Report, console: Console | None = None) -> None:
    """Print the table of arms, then the verdict and the notes; text of runs is never read as markup."""
    console = console or Console()
    kinds = [definition.kind for definition in report.definitions if kind_of(definition.kind).headline]
    # As many measures as fit beside whole names: a cut name is worth less than a column that summary.md has too.
    names = max(len(arm.name) for arm in report.arms)
    room = (console.width - names - (KIND + 2) * (1 + len(kinds))) // (MEASURE + 2)
    measures = [m for m in report.measures if m.key in SHOWN or m.key == report.primary][: max(1, room)]
    table = Table(title=Text(report.title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("arm", no_wrap=True)
    table.add_column("runs", justify="right")
    for measure in measures:
        table.add_column(head(measure.label, measure.unit, MEASURE), justify="right")
    for kind in kinds:
        table.add_column(head(label(kind), "runs", KIND), justify="right")
    for arm in report.arms:
        numbers = [text.estimate(arm.estimates[m.key], m).replace(" [", "\n[") for m in measures]
        crashed = [text.crashed(arm.crashed.get(kind)) for kind in kinds]
        table.add_row(*(Text(cell) for cell in (arm.name, f"{arm.counted} of {arm.started}", *numbers, *crashed)))
    console.print(table)
    console.print()
    for sentence in report.verdict[:1]:
        console.print(Text(printable(sentence)))
    for sentence in report.notes:
        console.print(Text(f"note: {printable(sentence)}"))


def head(name: str, unit: str, width: int) -> str:
    """A column's head: its name on as many lines as it takes, and its unit."""
    return "\n".join([*wrap(name, width, break_long_words=False), unit])
