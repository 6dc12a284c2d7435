"""Puts the report together: from run directories to one value that holds everything a page shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from safelab import __version__
from safelab.errors import DataError, nearest, printable
from safelab.results.compare.against_baseline import compare, compare_crashes, overheads
from safelab.results.compare.aggregate import arm_row, rankings, shared_levels, values_by_run
from safelab.results.compare.budget import at_equal_kl
from safelab.results.compare.cost import costs
from safelab.results.compare.paper import beside_paper, metrics_of
from safelab.results.compare.preset_gaps import Preset
from safelab.results.model import ArmRow, Comparison, CrashPolicy, Measure, Report, RunRow
from safelab.results.page.columns import check_columns
from safelab.results.published.read import Publication
from safelab.results.runs.config import differences
from safelab.results.runs.curves import panels, updates_per_point
from safelab.results.runs.evaluated import evaluated
from safelab.results.runs.load import LoadedRun, RunSet
from safelab.results.runs.measures import PRIMARY, chosen
from safelab.results.runs.metrics import CRASHES, crash_updates, summarise
from safelab.results.runs.phases import phases
from safelab.results.runs.samples import samples
from safelab.results.words.alike import not_alike_said
from safelab.results.words.asides import crashes_said, gold_said
from safelab.results.words.definitions import constants_of, definitions
from safelab.results.words.limits import limits, notes
from safelab.results.words.standing import diverged_said, unfinished_said
from safelab.results.words.verdict import verdict
from safelab.results.words.voted import paid_by_gold_said, voted_by_gold_said
from safelab.runlog.schema import strict_json

MOST_DRAWN = 10
"""Arms whose curves can be told apart in one picture; of more, the page draws these first and the others on request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the reader asked for. ``baseline`` None: the one that the runs' study names, if any.

    ``paper``: published numbers to put beside ours; ``preset``: what its sweep would train, where that is known.
    """

    baseline: str | None = None
    metrics: Sequence[str] = ()
    window: int = 10
    crash_policy: CrashPolicy = "last_value"
    paper: Publication | None = None
    preset: Preset | None = None
    columns: Sequence[str] = ()
    command: str = ""


# Values near the largest float overflow somewhere; the infinities that come of it are reported, and need no warning.
@np.errstate(over="ignore", invalid="ignore")
def build_report(loaded: RunSet, choices: Choices) -> Report:
    """Everything that can be said of ``loaded``.

    Raises:
        DataError: the baseline, a metric or a column is none that the runs have.
    """
    baseline = baseline_of(loaded, choices.baseline)
    published = [] if choices.paper is None else metrics_of(choices.paper, loaded.columns)
    measures = chosen([*(choices.metrics or [PRIMARY]), *published], loaded.columns)
    values = values_by_run(loaded, measures, choices.window, choices.crash_policy)
    values = values if baseline is None else {baseline: values[baseline], **values}
    arms = [arm_row(name, loaded.arms[name], values, measures) for name in values]
    comparisons, crashes = compare(values, baseline, measures), compare_crashes(arms, baseline)
    arms = in_order(arms, comparisons, measures[0])
    ranks = rankings(loaded, measures[0], choices.window)
    equal_kl = at_equal_kl(loaded, arms, baseline, choices.window)
    constants, same_constants = constants_of(loaded)
    gold, settings = shared_levels(values, "gold_final"), differences(loaded)
    caveats = [
        *unfinished_said(arms, loaded.unfinished),
        *diverged_said(arms, ranks, choices.crash_policy, measures[0]),
        *not_alike_said([arm.name for arm in arms], baseline, settings),
        *voted_by_gold_said(loaded),
        *paid_by_gold_said(loaded),
    ]
    said = verdict(arms, comparisons, baseline, measures, equal_kl, gold, caveats, named_baselines(loaded))
    found = Report(
        title=title(loaded),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=choices.command,
        safelab=__version__,
        baseline=baseline,
        primary=measures[0].key,
        window=choices.window,
        updates_per_point=updates_per_point(loaded),
        crash_policy=choices.crash_policy,
        verdict=said,
        findings=[said[0], *(line for line in [*crashes_said(arms), *gold_said(arms, gold, measures)] if line in said)],
        caveats=caveats,
        limits=limits(arms, comparisons, crashes, ranks, measures[0], equal_kl),
        notes=notes(loaded, same_constants),
        measures=[m for m in measures if any(arm.estimates[m.key].n for arm in arms) or m.key == PRIMARY],
        arms=arms,
        focus=min(len(arms), MOST_DRAWN),
        comparisons=comparisons,
        crash_comparisons=crashes,
        rankings=ranks,
        gold=gold,
        equal_kl=equal_kl,
        costs=costs(loaded, arms),
        overheads=overheads(values, baseline),
        phases=phases(loaded, [arm.name for arm in arms]),
        paper=beside_paper(choices.paper, choices.preset, loaded, arms, values, measures),
        panels=panels(loaded, [name for name in choices.metrics if name in loaded.columns]),
        definitions=definitions(constants, [kind for kind in CRASHES if any(kind in arm.crashed for arm in arms)]),
        differences=settings,
        samples=samples(loaded),
        runs=[run_row(key, run, measures, choices.window) for key, run in enumerate(loaded.runs)],
        unreadable=loaded.unreadable,
        detectors=constants,
        columns=choices.columns,
    )
    check_columns(found)
    return found


def in_order(arms: Sequence[ArmRow], comparisons: Sequence[Comparison], measure: Measure) -> list[ArmRow]:
    """The baseline, then the other arms by name; if there are too many to draw, those that differ most come first."""
    if len(arms) <= MOST_DRAWN or not comparisons:
        return list(arms)
    gaps = {row.arm: abs(row.difference.mean or 0.0) for row in comparisons if row.measure == measure.key}
    base, *others = arms
    first = sorted(others, key=lambda arm: -gaps[arm.name])[: MOST_DRAWN - 1]
    return [base, *first, *(arm for arm in others if arm not in first)]


def baseline_of(loaded: RunSet, asked: str | None) -> str | None:
    """The arm that the others are compared with: the one that is asked for, else the one that the runs' study names.

    None where nobody names one, or where studies that are reported together name different ones.

    Raises:
        DataError: no arm has the name that was asked for.
    """
    if asked is None:
        there = baseline_arms(loaded)
        return there[0] if len(there) == 1 else None
    arms = {name: run.arm for run in loaded.runs for name in (run.whole, run.arm)}
    if asked not in arms:
        known = {run.whole for run in loaded.runs}
        raise DataError(f"--baseline must be an arm of these runs, got {asked!r}; {nearest(asked, known)}")
    return arms[asked]


def baseline_arms(loaded: RunSet) -> list[str]:
    """The arms that their own study names as its baseline."""
    return sorted({run.arm for run in loaded.runs if run.record.config.get("baseline") == run.record.info.arm})


def named_baselines(loaded: RunSet) -> list[str]:
    """The baselines that the runs' studies name, under the names that this report gives them where they are arms."""
    named = {printable(str(name)) for run in loaded.runs if (name := run.record.config.get("baseline")) is not None}
    return baseline_arms(loaded) or sorted(named)


def title(loaded: RunSet) -> str:
    """The experiments' names."""
    names = list(dict.fromkeys(run.record.info.experiment for run in loaded.runs))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def run_row(key: int, run: LoadedRun, measures: Sequence[Measure], window: int) -> RunRow:
    """One run with its own numbers, from its own rows and no others."""
    record, info = run.record, run.record.info
    return RunRow(
        key=key,
        directory=printable(str(record.directory)),
        experiment=info.experiment,
        arm=run.arm,
        seed=info.seed,
        status=info.status,
        reason=info.reason,
        updates_done=len(record.metrics),
        updates_planned=info.updates,
        counted=run.counted,
        duplicate=run.duplicate,
        note=run.note,
        git_commit=info.git_commit,
        versions=info.versions,
        host=info.host,
        device=info.device,
        started=info.started,
        seconds=info.seconds,
        overrides=[*(info.overrides or record.overrides)],
        command=info.command,
        damaged=[f"{damage.file} line {damage.line}: {printable(damage.reason)}" for damage in record.damaged],
        non_finite=record.non_finite,
        measures={**summarise(record.metrics, measures, window), **evaluated(record, measures)},
        crashes=crash_updates(record.metrics),
        tags=[printable(tag) for tag in info.tags],
        notes=None if info.notes is None else printable(info.notes),
    )


def to_json(report: Report) -> str:
    """``report.json``: strict JSON, numbers to the last bit, what is not finite as text."""
    return strict_json(report, ensure_ascii=False) + "\n"


def write_json(report: Report, directory: Path) -> None:
    """``report.json`` in ``directory``."""
    (directory / "report.json").write_text(to_json(report), encoding="utf-8", errors="backslashreplace")
