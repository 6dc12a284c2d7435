"""The numbers as files: CSV and Parquet for programs, Markdown and LaTeX for people."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from safelab.results import text
from safelab.results.compare import cost
from safelab.results.estimates import Estimate
from safelab.results.model import ArmRow, Measure, Report
from safelab.results.page.columns import chosen_columns
from safelab.results.page.latex import latex
from safelab.results.paper_model import Paper, PaperRow
from safelab.results.words import beside_paper


def write_tables(report: Report, directory: Path) -> None:
    """``summary.csv``, ``summary.parquet``, ``runs.csv``, ``runs.parquet``, ``summary.md``, ``table.tex``.

    Beside a paper also ``paper.csv`` and ``paper.parquet``.
    """
    frames = {"summary": summary_frame(report), "runs": runs_frame(report)}
    if report.paper is not None:
        frames["paper"] = paper_frame(report.paper)
    for name, frame in frames.items():
        _no_formulas(frame).to_csv(directory / f"{name}.csv", index=False, errors="backslashreplace")
        frame.to_parquet(directory / f"{name}.parquet", index=False)
    for name, content in (("summary.md", markdown(report)), ("table.tex", latex(report))):
        (directory / name).write_text(content, encoding="utf-8", errors="backslashreplace")


def summary_frame(report: Report) -> pd.DataFrame:
    """One row per arm; each column bears its unit."""
    return _numeric(pd.DataFrame([_summary_row(arm, report) for arm in report.arms]))


def runs_frame(report: Report) -> pd.DataFrame:
    """One row per run."""
    whole = {arm.name: arm.whole for arm in report.arms}
    frame = pd.DataFrame(
        [
            {
                "directory": run.directory,
                "experiment": run.experiment,
                "arm": whole[run.arm],
                "seed": run.seed,
                "status": run.status,
                "counted": run.counted,
                "note": run.note,
                "updates": run.updates_done,
                "updates_planned": run.updates_planned,
                "seconds": run.seconds,
                "git_commit": run.git_commit,
                **{_column(measure): run.measures[measure.key] for measure in report.measures},
                **{f"{kind} [count]": len(updates) for kind, updates in run.crashes.items()},
            }
            for run in report.runs
        ]
    )
    return _numeric(frame)


def paper_frame(paper: Paper) -> pd.DataFrame:
    """One row per published number, ours beside it in the same unit."""
    frame = pd.DataFrame([_paper_row(row) for row in paper.rows])
    return frame.astype({name: "float64" for name in frame if str(name) not in PAPER_TEXT})


def markdown(report: Report) -> str:
    """The verdict, the table of arms, the differences from the baseline, and what cannot be said."""
    parts = [f"# {_md(report.title)}", "", *_bullets(report.verdict), ""]
    parts += [*_table(*_arms_table(report)), ""]
    if report.baseline is not None and report.comparisons:
        parts += [f"## Against {_md(report.baseline)}", "", *_table(*_differences_table(report)), ""]
    if report.equal_kl:
        parts += ["## At equal KL", "", *_table(*_equal_kl_table(report)), ""]
    if report.costs:
        parts += ["## Cost", "", *_table(cost.HEADS, [[row.arm, *cost.cells(row)] for row in report.costs]), ""]
        parts += [_md(cost.HOW), ""]
    if report.paper:
        parts += _beside_paper(report.paper)
    if report.limits:
        parts += ["## What these runs cannot say", "", *_bullets(report.limits), ""]
    if report.notes:
        parts += ["## What was odd about the runs", "", *_bullets(report.notes), ""]
    if report.definitions:
        parts += ["## Definitions", "", *(f"- **{d.label}**: {_md(d.text)}" for d in report.definitions), ""]
    if longer := [arm for arm in report.arms if arm.whole != arm.name]:
        parts += ["## Names", "", *(f"- **{_md(arm.name)}** is {_md(arm.whole)}" for arm in longer), ""]
    how = "Means over seeds with 95 % intervals; crashes as runs with at least one."
    return "\n".join([*parts, f"{how} Made {report.made} by safelab {report.safelab}.", ""])


def _beside_paper(paper: Paper) -> list[str]:
    """What the comparison comes to, its table, how it is tested, and what differs."""
    rows = [beside_paper.cells(row) for row in paper.rows]
    return [
        *("## Beside the paper", "", *_bullets(beside_paper.summary(paper)), ""),
        *(*_table(beside_paper.HEADS, rows), ""),
        *(_md(beside_paper.HOW), "", f"Margins: {_md(paper.margin_reason)}", ""),
        *("### What differs", "", *_bullets(beside_paper.departures(paper)), ""),
    ]


def _arms_table(report: Report) -> tuple[list[str], list[list[str]]]:
    columns = chosen_columns(report)
    heads = ["Arm", *(text.titled(column.label, column.unit) for column in columns)]
    rows = [
        [arm.name, *(" ".join(column.cells[index]).strip() for column in columns)]
        for index, arm in enumerate(report.arms)
    ]
    return heads, rows


def _differences_table(report: Report) -> tuple[list[str], list[list[str]]]:
    primary = next(measure for measure in report.measures if measure.key == report.primary)
    heads = ["Arm", f"{primary.label}, difference", "pairs", "sign-flip p", "Holm p", "better run"]
    rows = [
        [
            row.arm,
            text.estimate(row.difference, primary, signed=True),
            str(row.difference.n),
            text.p_alone(row.p),
            text.p_alone(row.p_holm),
            text.chance(row),
        ]
        for row in report.comparisons
        if row.measure == primary.key
    ]
    return heads, rows


def _equal_kl_table(report: Report) -> tuple[list[str], list[list[str]]]:
    heads = ["Arm", "KL at most (nats/token)", "Reward", "difference", "Gold score", "difference"]
    rows = [
        [
            row.arm,
            f"{row.kl:g}",
            text.number(row.reward.mean, 3),
            f"{text.number(gap.mean, 3, True)} {text.interval(gap.low, gap.high, 3, True)}".strip(),
            text.number(row.gold.mean, 2),
            f"{text.number(lost.mean, 2, True)} {text.interval(lost.low, lost.high, 2, True)}".strip(),
        ]
        for row in report.equal_kl
        for gap, lost in [(row.reward_difference, row.gold_difference)]
    ]
    return heads, rows


def _summary_row(arm: ArmRow, report: Report) -> dict[str, Any]:
    row: dict[str, Any] = {
        "arm": arm.whole,
        "runs_started": arm.started,
        "runs_finished": arm.finished,
        "runs_diverged": arm.diverged.k,
        "runs_unfinished": arm.unfinished,
        "runs_counted": arm.counted,
    }
    for measure in report.measures:
        found = arm.estimates[measure.key]
        parts = {"": found.mean, "_low": found.low, "_high": found.high, "_sd": found.sd, "_iqm": found.iqm}
        row |= {_column(measure, part): value for part, value in parts.items()}
    for definition in report.definitions:
        rate = arm.crashed.get(definition.kind)
        row[f"{definition.kind} [runs]"] = None if rate is None else rate.k
    return row


PAPER_TEXT = ("arm", "quantity", "unit", "verdict", "why", "place", "note")
"""Columns of ``paper.csv`` that are no numbers."""


def _paper_row(row: PaperRow) -> dict[str, Any]:
    nothing = Estimate(n=0, mean=None)
    here, gap, crashed = row.here or nothing, row.difference or nothing, row.crashed
    return {
        "arm": row.arm,
        "quantity": row.quantity,
        "unit": row.unit,
        "published": row.published,
        "published_sd": row.published_sd,
        "published_n": row.published_n,
        "here": crashed.k / crashed.n if crashed else here.mean,
        "here_low": crashed.low if crashed else here.low,
        "here_high": crashed.high if crashed else here.high,
        "runs": crashed.n if crashed else here.n,
        "difference": gap.mean,
        "difference_low": gap.low,
        "difference_high": gap.high,
        "margin": row.margin,
        "p_different": row.p_different,
        "p_equivalent": row.p_equivalent,
        "verdict": row.verdict,
        "why": row.why,
        "place": row.place,
        "note": row.note,
    }


def _numeric(frame: pd.DataFrame) -> pd.DataFrame:
    """A column of numbers and None is one of numbers: else its type would hang on whether a value is missing."""
    measured = [name for name in frame if "[" in str(name) or name == "seconds"]
    return frame.astype(dict.fromkeys(measured, "float64"))


def _no_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """The table for a spreadsheet, which reads text that begins like this as a formula, and does what it says."""
    texts = frame.select_dtypes(exclude=["number", "bool"])
    tame = frame.assign(**{str(name): texts[name].map(_tame) for name in texts})
    return tame.rename(columns=_tame)


def _tame(value: Any) -> Any:
    """An apostrophe before text that begins as a formula; that is how spreadsheets write that something is text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


FORMULA = ("=", "+", "-", "@", "\t", "\r", "|", "%")


def _column(measure: Measure, part: str = "") -> str:
    return f"{measure.key}{part} [{measure.unit or 'as logged'}]"


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"- {_md(line)}" for line in lines]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in heads[1:])]
    return ["| " + " | ".join(_md(cell) for cell in row) + " |" for row in [heads]] + [
        "| " + " | ".join(rule) + " |",
        *("| " + " | ".join(_md(cell) for cell in row) + " |" for row in rows),
    ]


def _md(value: str) -> str:
    """Text that Markdown (and the HTML inside it) leaves alone: no link, no image, no address that becomes one.

    An interval keeps its brackets: what begins with a number, and is not followed by an address, is no link.
    """
    for char in "\\`*_|<>#~&":
        value = value.replace(char, f"\\{char}")
    value = re.sub(r"!(?=\[)", r"\\!", value)
    value = re.sub(r"\[(?![+−∞\d])", r"\\[", value)
    value = re.sub(r"\](?=[(\[:])", r"\\]", value)
    value = value.replace("://", ":/\\/").replace("www.", "www\\.")
    return " ".join(value.split())
