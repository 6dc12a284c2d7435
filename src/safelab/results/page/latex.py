r"""``table.tex``: the arms as a table for a paper, no wider than the text of a one-column article at 10 pt.

It needs booktabs and nothing else. The interval stands below its mean, heads are broken into lines, and columns that do
not fit beside one another go into a second tabular: so it fits whatever is asked for.
"""

import re
from collections.abc import Sequence
from textwrap import wrap

from safelab.results import text
from safelab.results.model import Report
from safelab.results.names import shortened
from safelab.results.page.columns import DIVERGED, FINISHED, Column, chosen_columns, columns_of

TEXT_WIDTH = 345.0
r"""Points of ``\textwidth`` in ``\documentclass{article}`` at 10 pt."""

MOST_COLUMNS = 7
"""Columns of the table unless others are asked for, the arms' names among them."""

FIRST = (FINISHED, "primary", "gold_final", "crash/reward", DIVERGED, "kl_final", "reward_sd_rolling", "reward_final",
         "entropy_final")  # fmt: skip
"""What the table has unless others are asked for: the first of these that the report offers and that fit."""

GAP = 6.0
"""Points between two columns."""

NAME = 18
"""Most characters of an arm's name."""

HEAD = 10
"""Characters of a line of a column's head."""

SIZE, SMALL_SIZE = 8.5, 8.0
r"""Points to the em of Computer Modern at ``\footnotesize`` and ``\scriptsize``, where it is wider for its height."""

CAPTION = 600
"""Characters up to which definitions of crashes are put into the caption."""


def latex(report: Report) -> str:
    """A table with a caption that says what its numbers are."""
    names = _names(report)
    tabulars = _packed(list(_columns(report, names)), names)
    whole = [
        f"% {_one_line(name)} is {_one_line(arm.whole)}"
        for name, arm in zip(names, report.arms, strict=True)
        if name != arm.whole
    ]
    shown = [column for columns in tabulars for column in columns]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            *whole,
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_caption(report, shown)}}}",
            r"\footnotesize",
            rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
            *(line for columns in tabulars for line in _tabular(names, columns)),
            r"\end{table}",
            "",
        ]
    )


def _names(report: Report) -> list[str]:
    short = shortened([arm.name for arm in report.arms], NAME)
    return [short[arm.name] for arm in report.arms]


def _columns(report: Report, names: Sequence[str]) -> Sequence[Column]:
    """Those that were asked for; else the first that fit beside one another, ``MOST_COLUMNS`` at most."""
    if report.columns:
        return chosen_columns(report)
    offered = columns_of(report)
    first = dict.fromkeys(report.primary if name == "primary" else name for name in FIRST)
    found: list[Column] = []
    for column in (offered[name] for name in first if name in offered):
        empty = all(mean == text.NOTHING for mean, _ in column.cells)
        if not empty and len(found) < MOST_COLUMNS - 1 and _width(names, [*found, column]) <= TEXT_WIDTH:
            found.append(column)
    return [column for column in offered.values() if column in found]


def _packed(columns: Sequence[Column], names: Sequence[str]) -> list[list[Column]]:
    """The columns in as few tabulars as hold them, at least one in each."""
    packed: list[list[Column]] = [[]]
    for column in columns:
        if packed[-1] and _width(names, [*packed[-1], column]) > TEXT_WIDTH:
            packed.append([])
        packed[-1].append(column)
    return packed


def _tabular(names: Sequence[str], columns: Sequence[Column]) -> list[str]:
    """One tabular: a head of as many rows as the longest takes, and two rows for each arm that has an interval."""
    heads = [_head(column) for column in columns]
    deep = max(map(len, heads))
    lines = [rf"\begin{{tabular}}{{@{{}}l{'r' * len(columns)}@{{}}}}", r"\toprule"]
    for level in range(deep):
        # Heads end on one line, just above the numbers.
        cells = [head[level - deep + len(head)] if level >= deep - len(head) else "" for head in heads]
        lines.append(_row(["Arm" if level == deep - 1 else "", *map(escaped, cells)]))
    lines.append(r"\midrule")
    for index, name in enumerate(names):
        lines.append(_row([escaped(name), *(escaped(column.cells[index][0]) for column in columns)]))
        below = [column.cells[index][1] for column in columns]
        if any(below):
            lines.append(_row(["", *(rf"{{\scriptsize {escaped(cell)}}}" if cell else "" for cell in below)]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _head(column: Column) -> list[str]:
    """The lines of a column's head, its unit the last."""
    said = text.titled(column.label, column.unit)
    return [*wrap(column.label, HEAD), *(wrap(column.unit, HEAD) if said != column.label else [])]


def _caption(report: Report, columns: Sequence[Column]) -> str:
    """What the numbers are, and as many definitions of the crashes that are shown as fit."""
    said = ["Runs that finished, of those that were started." if any(c.name == FINISHED for c in columns) else ""]
    if any(interval for column in columns for _, interval in column.cells):
        said.append("Means over seeds; in brackets 95 % intervals.")
    if any(column.name == DIVERGED for column in columns):
        said.append("Diverged: a number was not finite, or a guard ended the run.")
    if report.baseline is not None:
        said.append(f"Baseline: {report.baseline}.")
    names = {column.name for column in columns}
    for definition in report.definitions:
        sentence = f"{definition.label}: {definition.text}"
        if definition.kind in names and len(" ".join(said)) + len(sentence) <= CAPTION:
            said.append(sentence)
    return escaped(" ".join(filter(None, said)), breakable=True)


def _width(names: Sequence[str], columns: Sequence[Column]) -> float:
    """Points that a tabular of these columns takes."""
    first = max(width(name, SIZE) for name in [*names, "Arm"])
    return first + sum(GAP + _column_width(column) for column in columns)


def _column_width(column: Column) -> float:
    plain = [*_head(column), *(mean for mean, _ in column.cells)]
    return max(*(width(line, SIZE) for line in plain), *(width(below, SMALL_SIZE) for _, below in column.cells))


def width(line: str, size: float) -> float:
    """Points that ``line`` takes in Computer Modern, on the safe side."""
    return size * sum(next((em for chars, em in WIDTHS if char in chars), WIDEST) for char in line)


WIDTHS = (
    ("0123456789", 0.51), ("ijl.,:;|'", 0.31), ("[]()ft!/", 0.40), ("rs- ", 0.41), ("cez", 0.46),
    ("abdghknopquvxy_#", 0.57), ("EFIJLPSTZ", 0.69), ("ABCDGHKNOQRUVXYw+<>=−", 0.79),
)  # fmt: skip
WIDEST = 1.05
"""Ems of characters; of whatever is not named, an M among them."""


def escaped(value: str, breakable: bool = False) -> str:
    """Text that LaTeX prints as it is; a character that plain pdfLaTeX has no glyph for by its number.

    Args:
        value: any text.
        breakable: let lines break inside names.
    """
    made = "".join(TEX.get(char, char) if char in TEX or ord(char) < 127 else _foreign(char) for char in value)
    return re.sub(r"(\\_|,|=)(?=\S)", r"\1\\allowbreak{}", made) if breakable else made


def _foreign(char: str) -> str:
    return char if char in LATIN else f"[U+{ord(char):04X}]"


def _one_line(name: str) -> str:
    """A name inside a comment, which ends with its line."""
    return " ".join(name.split())


LATIN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")
"""Letters beyond ASCII that LaTeX has glyphs for without any package."""

TEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # Without T1 fonts these three are other glyphs, and -- a dash.
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "-": "-{}",
    '"': "''",
    text.MINUS: "$-$",
    text.NOTHING: "--",
    "…": r"\ldots{}",
    "∞": r"$\infty$",
    "\N{NO-BREAK SPACE}": "~",
    "\x7f": "",
}
