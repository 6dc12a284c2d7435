"""Whole runs that compare the responses to a prompt: pieces cut no group, and metrics are over prompts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from safelab.ranks import Ranks
from safelab.training.loop import Step, train_update
from safelab.training.state import initial_state
from support.ranks import on_ranks
from support.runs import numbers, parts_of, small, trained

CHOOSING = ["best_of_n", "online_dpo"]
LETTERS = f"reward.name='{__name__}:letters'"


def letters(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """A reward that differs from response to response at the start, too."""
    return [len(text) / 10 for text in responses]


def first_update(tmp_path: Path, *overrides: str) -> Step:
    parts = parts_of(small(tmp_path, *overrides, "updates=1", "samples.every=1", "samples.count=8"))
    return train_update(parts, initial_state(parts))


@pytest.mark.parametrize("algorithm", CHOOSING)
def test_margins_and_ties_are_means_over_prompts(algorithm: str, tmp_path: Path) -> None:
    step = first_update(tmp_path, f"algorithm={algorithm}", "rollout.samples_per_prompt=4", LETTERS)
    rewards = [sample["reward"] for sample in step.samples]
    of_prompts = [rewards[0:4], rewards[4:8]]
    margins = [max(own) - min(own) for own in of_prompts]
    assert step.row["objective/score_margin"] == pytest.approx(sum(margins) / 2, abs=1e-6)
    assert step.row["objective/ties"] == pytest.approx(sum(margin == 0 for margin in margins) / 2)
    assert sum(margins) > 0


def test_at_the_reference_a_pair_costs_log_2_and_no_margin_is_implied(tmp_path: Path) -> None:
    row = first_update(tmp_path, "algorithm=online_dpo", LETTERS).row
    assert row["objective/ties"] < 1
    assert row["policy/loss"] == pytest.approx(0.693147 * (1 - row["objective/ties"]), abs=1e-5)
    assert row["objective/implied_margin"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("piece", ["micro_batch_size=3", "micro_batch_tokens=20"])
@pytest.mark.parametrize("algorithm", CHOOSING)
def test_accumulation_changes_no_number(algorithm: str, piece: str, tmp_path: Path) -> None:
    # Adam divides a gradient by its size: where it is all rounding it must not become a step.
    run = [f"algorithm={algorithm}", LETTERS, "rollout.staleness=1", "optimizer.eps=1e-3", "optimizer.epochs=2"]
    (whole, pieces) = (numbers(trained(small(tmp_path, *run, *extra))[2]) for extra in ([], [f"optimizer.{piece}"]))
    assert [row.keys() for row in whole] == [row.keys() for row in pieces]
    for one, other in zip(whole, pieces, strict=True):
        for name, value in one.items():
            assert other[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-4, rel=1e-4)), name


@pytest.mark.parametrize("algorithm", CHOOSING)
def test_two_ranks_learn_what_one_does(algorithm: str, tmp_path: Path) -> None:
    config = small(tmp_path, f"algorithm={algorithm}", LETTERS, "optimizer.eps=1e-3")
    alone = numbers(trained(config)[2])
    for rows in on_ranks(2, partial(rows_of, {**config, "ranks": 2})):
        for one, other in zip(alone, rows, strict=True):
            for name, value in one.items():
                assert other[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-5, rel=1e-5))


def rows_of(config: dict[str, Any], ranks: Ranks) -> list[dict[str, Any]]:
    """The rows of a run that writes nothing."""
    return numbers(trained(config, ranks)[2])


@pytest.mark.parametrize("algorithm", CHOOSING)
def test_the_reward_rises(algorithm: str, tmp_path: Path) -> None:
    run = [f"algorithm={algorithm}", "updates=30", "optimizer.lr=3e-3", "rollout.batch_size=16"]
    rows = trained(small(tmp_path, *run))[2]
    first, last = (sum(row["reward/mean"] for row in part) / 5 for part in (rows[:5], rows[-5:]))
    assert last > first + 0.1
