"""What a report says, as plain values: ``report.json`` is this and nothing else, and the page shows only this.

A float of None is "cannot be said" (too few runs, or no such metric), and is printed as a dash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from safelab.results.estimates import Estimate, Proportion
from safelab.results.paper_model import Paper

Better = Literal["higher", "lower", ""]
CrashPolicy = Literal["last_value", "floor", "exclude"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number per run. ``better``: which way is good, if either; ``least``, ``greatest``: what it cannot pass."""

    key: str
    label: str
    unit: str
    better: Better
    digits: int
    meaning: str
    least: float | None = None
    greatest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run directory. ``counted``: whether it enters the numbers; ``note``: why not, or what was done to it.

    ``crashes``: updates at which each kind began.
    """

    key: int
    directory: str
    experiment: str
    arm: str
    seed: int
    status: str
    reason: str | None
    updates_done: int
    updates_planned: int
    counted: bool
    duplicate: bool
    note: str
    git_commit: str | None
    versions: Mapping[str, str]
    host: str
    device: str
    started: str
    seconds: float | None
    overrides: Sequence[str]
    command: str
    damaged: Sequence[str]
    non_finite: Mapping[str, int]
    measures: Mapping[str, float | None]
    crashes: Mapping[str, Sequence[int]]
    tags: Sequence[str] = ()
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One arm: what was started, what counts, and its numbers. ``crashed``: runs with at least one, by kind.

    Every run that was started is ``finished``, ``diverged`` (a number was not finite, or a guard ended it: a result,
    which counts) or ``unfinished`` (failed, interrupted, still running: no result, and left out unless asked for).
    ``diverged``: of the finished and the diverged ones. ``cut_short``: runs that count although they ended before
    their time. ``whole``: the name as it was given, where ``name`` is a shorter one. ``ended``: why the unfinished ones
    ended, each reason with its number of runs.
    """

    name: str
    whole: str
    started: int
    finished: int
    diverged: Proportion
    unfinished: int
    counted: int
    cut_short: int
    seeds: Sequence[int]
    ended: Mapping[str, int]
    estimates: Mapping[str, Estimate]
    crashed: Mapping[str, Proportion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An arm minus the baseline in one measure, paired by seed.

    ``p``: two-sided sign-flip permutation; ``p_floor``: the least it can be with so many pairs; ``p_holm``:
    corrected over the arms; ``p_holm_floor``: the least that can be with these pairs in all arms. ``improvement``:
    probability that a run of the arm beats one of the baseline.
    """

    arm: str
    measure: str
    seeds: Sequence[int]
    difference: Estimate
    p: float | None
    p_floor: float | None
    p_holm: float | None
    p_holm_floor: float | None
    improvement: float | None
    improvement_low: float | None
    improvement_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashComparison:
    """Runs that crashed, arm against baseline. ``p``: Fisher's exact test; ``p_floor``: the least possible here."""

    arm: str
    kind: str
    crashed: Proportion
    baseline: Proportion
    p: float | None
    p_floor: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """An arm within ``kl``: reward and gold score over seeds, and their paired differences from the baseline."""

    arm: str
    kl: float
    reward: Estimate
    gold: Estimate
    reward_difference: Estimate
    gold_difference: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What an arm spent in a run, on average: responses, votes, optimiser steps, and those by a backward pass."""

    arm: str
    episodes: float | None
    votes: float | None
    steps: float | None
    backward: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One arm in one panel: mean, least and greatest over the seeds at each step, and the seeds themselves."""

    arm: str
    mean: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]
    seeds: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One metric over the updates, all arms on one grid. ``steps``: first update of each point."""

    metric: str
    label: str
    unit: str
    steps: Sequence[int]
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLine:
    """The controller's phase in one arm: of most of its seeds, from update ``first`` to ``last``, span by span."""

    arm: str
    first: Sequence[int]
    last: Sequence[int]
    phase: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """How one kind of crash is told; ``text`` has the constants in it."""

    kind: str
    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Arms from best to worst in the primary measure under one crash policy."""

    policy: CrashPolicy
    arms: Sequence[str]
    means: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """One measure of several arms over the ``seeds`` that all of them have it for; ``arms``: the highest first.

    ``means`` are None where there is no such seed; ``without``: arms that have no value of it at all.
    """

    measure: str
    seeds: Sequence[int]
    arms: Sequence[str]
    means: Sequence[float | None]
    without: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One response of one run."""

    arm: str
    seed: int
    update: int
    prompt: str
    response: str
    reward: float | None
    gold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key of the configuration that is not the same in all arms, with each arm's value as text."""

    key: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything. ``arms``: the baseline first. ``focus``: how many of them, from the first, are drawn at once.

    ``baseline`` None: nobody has named one, so ``comparisons`` and whatever else needs one are empty. Of ``verdict``,
    ``findings`` are the sentences that say most, and ``caveats`` those without which they mislead. ``columns``: those
    that were asked for in printed tables.
    """

    title: str
    made: str
    command: str
    safelab: str
    baseline: str | None
    primary: str
    window: int
    updates_per_point: int
    crash_policy: CrashPolicy
    verdict: Sequence[str]
    findings: Sequence[str]
    caveats: Sequence[str]
    limits: Sequence[str]
    notes: Sequence[str]
    measures: Sequence[Measure]
    arms: Sequence[ArmRow]
    focus: int
    comparisons: Sequence[Comparison]
    crash_comparisons: Sequence[CrashComparison]
    rankings: Sequence[Ranking]
    gold: Levels
    equal_kl: Sequence[BudgetRow]
    costs: Sequence[CostRow]
    overheads: Mapping[str, Estimate]
    phases: Sequence[PhaseLine]
    paper: Paper | None
    panels: Sequence[Panel]
    definitions: Sequence[Definition]
    differences: Sequence[Difference]
    samples: Sequence[Sample]
    runs: Sequence[RunRow]
    unreadable: Sequence[str]
    detectors: Mapping[str, Any] = field(default_factory=dict)
    columns: Sequence[str] = ()
