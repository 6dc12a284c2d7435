"""From runs to arms: means over seeds with intervals, crash rates, and the ranking under each crash policy."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from safelab.results import text
from safelab.results.compare.statistics import estimate, proportion
from safelab.results.estimates import Proportion
from safelab.results.model import ArmRow, CrashPolicy, Levels, Measure, Ranking
from safelab.results.runs.crash_policy import DIVERGED, POLICIES, floors, under_policy
from safelab.results.runs.evaluated import evaluated
from safelab.results.runs.load import UNFINISHED, LoadedRun, RunSet
from safelab.results.runs.metrics import CRASHES, crash_updates, summarise

LONGEST_REASON = 120
"""Characters of what a run says of its end that a sentence repeats."""

STANDS = {"running": "still running"}
"""How a status is said, where its own word does not say it."""

Values = Mapping[str, Mapping[int, Mapping[str, float | None]]]
"""Arm, seed, measure: the numbers with which each counted run enters."""


def values_by_run(loaded: RunSet, measures: Sequence[Measure], window: int, policy: CrashPolicy) -> Values:
    """What every counted run contributes under ``policy``."""
    floor = floors(loaded)
    return {
        arm: {
            run.seed: {
                **summarise(entry.frame, measures, window, entry.missing, entry.rest),
                **evaluated(run.record, measures),
            }
            for run in runs
            if run.counted and (entry := under_policy(run, policy, floor)) is not None
        }
        for arm, runs in loaded.arms.items()
    }


def arm_row(name: str, runs: Sequence[LoadedRun], values: Values, measures: Sequence[Measure]) -> ArmRow:
    """One arm. Crash rates are over the runs that count, whatever the crash policy does to the averages."""
    first = [run for run in runs if not run.duplicate]
    statuses = [run.record.info.status for run in first]
    finished, diverged = statuses.count("finished"), statuses.count(DIVERGED)
    counted = [run for run in runs if run.counted]
    return ArmRow(
        name=name,
        whole=first[0].whole,
        started=len(statuses),
        finished=finished,
        diverged=proportion(diverged, finished + diverged),
        unfinished=len(statuses) - finished - diverged,
        counted=len(counted),
        cut_short=sum(run.record.info.status != "finished" for run in counted),
        seeds=sorted(run.seed for run in counted),
        ended=endings([run for run in first if run.record.info.status in UNFINISHED]),
        estimates={m.key: estimate(numbers(values[name], m.key), m.least, m.greatest) for m in measures},
        crashed=crash_rates(counted),
    )


def endings(runs: Sequence[LoadedRun]) -> dict[str, int]:
    """How runs ended, and why, the most frequent first: ``failed after 4 to 6 of 40 updates: ValueError: no``."""
    alike: dict[tuple[str, str, bool], list[LoadedRun]] = defaultdict(list)
    for run in runs:
        reason = " ".join((run.record.info.reason or "").split())
        crashed = any(crash_updates(run.record.metrics, ["crash/reward"]).values())
        alike[run.record.info.status, reason, crashed].append(run)
    said = {}
    for (status, reason, crashed), same in sorted(alike.items(), key=lambda pair: -len(pair[1])):
        done, planned = [len(run.record.metrics) for run in same], [run.record.info.updates for run in same]
        how = f"{STANDS.get(status, status)} after {span(done)} of {span(planned)} updates"
        how += " and a reward crash" if crashed else ""
        said[f"{how}: {text.short(reason, LONGEST_REASON)}" if reason else how] = len(same)
    return said


def span(counts: Sequence[int]) -> str:
    """``4``, or ``4 to 6``."""
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"


def numbers(by_seed: Mapping[int, Mapping[str, float | None]], measure: str) -> list[float]:
    """The measure of every seed that has it."""
    return [value for row in by_seed.values() if (value := row[measure]) is not None]


def crash_rates(runs: Sequence[LoadedRun]) -> dict[str, Proportion]:
    """For each kind that some run looked for: runs with at least one, of the runs that looked."""
    found = [crash_updates(run.record.metrics) for run in runs]
    looked = {kind: [updates[kind] for updates in found if kind in updates] for kind in CRASHES}
    return {kind: proportion(sum(map(bool, seen)), len(seen)) for kind, seen in looked.items() if seen}


def shared_levels(values: Values, measure: str) -> Levels:
    """Every arm's mean of ``measure`` over the seeds that all arms with finite values of it have: a fair order."""
    known = {
        arm: {
            seed: value for seed, row in by_seed.items() if (value := row[measure]) is not None and math.isfinite(value)
        }
        for arm, by_seed in values.items()
    }
    there = [arm for arm in known if known[arm]]
    seeds = sorted(set.intersection(*(set(known[arm]) for arm in there))) if there else []
    means = {arm: estimate([known[arm][seed] for seed in seeds]).mean for arm in there}
    order = sorted(there, key=lambda arm: -(means[arm] or 0.0))
    return Levels(
        measure=measure,
        seeds=seeds,
        arms=order,
        means=[means[arm] for arm in order],
        without=[arm for arm in known if not known[arm]],
    )


def rankings(loaded: RunSet, measure: Measure, window: int) -> list[Ranking]:
    """Arms from best to worst in ``measure`` under each policy, to see whether the order hangs on it."""
    return [_ranking(policy, values_by_run(loaded, [measure], window, policy), measure) for policy in POLICIES]


def _ranking(policy: CrashPolicy, values: Values, measure: Measure) -> Ranking:
    means = {arm: estimate(numbers(by_seed, measure.key)).mean for arm, by_seed in values.items()}
    sign = 1.0 if measure.better == "lower" else -1.0
    order = sorted(means, key=lambda arm: (means[arm] is None, sign * (means[arm] or 0.0)))
    return Ranking(policy=policy, arms=order, means=[means[arm] for arm in order])
