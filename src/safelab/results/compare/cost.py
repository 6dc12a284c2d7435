"""What each arm spent: responses, an oracle's votes, steps of the optimiser, and those that took a backward pass.

Means over the runs that count. Said where any arm has votes: such an arm asks for votes as others ask for gradients,
and its reward beside theirs means little without what it cost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from safelab.results.model import ArmRow, CostRow
from safelab.results.runs.load import LoadedRun, RunSet
from safelab.results.runs.metrics import numbers_of

VOTES = "votes"

HEADS = ("Arm", "Responses written", "Oracle votes", "Optimiser steps", "Backward passes")

HOW = (
    "Means over runs. A backward pass is one over a minibatch, however it is cut; a gradient penalty takes two "
    "a step. The labels that a reward model was made from are not counted."
)


def costs(loaded: RunSet, arms: Sequence[ArmRow]) -> list[CostRow]:
    """Every arm's, or nothing where no run has votes."""
    if not any(VOTES in run.record.metrics for run in loaded.runs):
        return []
    return [_row(arm.name, [run for run in loaded.arms[arm.name] if run.counted]) for arm in arms]


def cells(row: CostRow) -> list[str]:
    """A line of the table, without the arm; what a run did not record is a dash."""
    spent = (row.episodes, row.votes, row.steps, row.backward)
    return ["–" if value is None else f"{value:,.0f}" for value in spent]


def _row(arm: str, runs: Sequence[LoadedRun]) -> CostRow:
    steps = [steps_of(run.record.metrics, run.record.config) for run in runs]
    passes = [
        None if made is None else made * _gradients(run.record.config) for run, made in zip(runs, steps, strict=True)
    ]
    by_votes = [VOTES in run.record.metrics for run in runs]
    return CostRow(
        arm=arm,
        episodes=_mean([_last(run.record.metrics, "episodes") for run in runs]),
        votes=_mean(
            [_last(run.record.metrics, VOTES) if voted else 0.0 for run, voted in zip(runs, by_votes, strict=True)]
        ),
        steps=_mean(steps),
        backward=_mean([0.0 if voted else made for made, voted in zip(passes, by_votes, strict=True)]),
    )


def steps_of(rows: pd.DataFrame, config: Mapping[str, Any]) -> float | None:
    """Optimiser steps of the policy: one an update by votes or on pairs, else one per minibatch of each epoch made."""
    optimizer = config.get("optimizer", {})
    epochs, minibatches = optimizer.get("epochs"), optimizer.get("minibatches")
    if epochs is None or minibatches is None:
        return None
    made = numbers_of(rows, "policy/epochs")
    return float((made.sum() if len(made) else epochs * len(rows)) * minibatches)


def _gradients(config: Mapping[str, Any]) -> int:
    """Of each step: a penalty on the gradient's norm takes a second one."""
    return 2 if config.get("optimizer", {}).get("gradient_penalty", {}).get("coef") else 1


def _last(rows: pd.DataFrame, name: str) -> float | None:
    found = numbers_of(rows, name)
    return float(found[-1]) if len(found) else None


def _mean(values: Sequence[float | None]) -> float | None:
    """None where a run lacks it: a mean of the others would be of other runs than the rest of the line."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
