"""The arms as a table in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from safelab.results import text
from safelab.results.definitions import label
from safelab.results.load import printable
from safelab.results.model import Report

SHOWN = ("reward_mean", "reward_final", "gold_final", "kl_mean", "entropy_final")
KINDS = ("crash/reward", "crash/hacking")


def show(report: Report, console: Console | None = None) -> None:
    """Print the table of arms, then the verdict and the notes; text of runs is never read as markup."""
    console = console or Console()
    measures = [m for m in report.measures if m.key in SHOWN or m.key == report.primary]
    kinds = [definition.kind for definition in report.definitions if definition.kind in KINDS]
    table = Table(title=Text(report.title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("arm")
    table.add_column("runs", justify="right")
    for measure in measures:
        table.add_column(f"{measure.label}\n{measure.unit}", justify="right")
    for kind in kinds:
        table.add_column(f"{label(kind)}\nruns", justify="right")
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
