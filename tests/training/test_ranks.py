"""One run on several processes: the rows of one process, to the bit where they are scored in the same pieces."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from safelab.app.config.build import problems
from safelab.ranks import Ranks
from support.pairs import offline
from support.ranks import on_ranks
from support.runs import numbers, resolved, small, trained

Rows = list[dict[str, Any]]


def rows_of(config: dict[str, Any], ranks: Ranks) -> Rows:
    """The rows of a run that writes nothing."""
    return numbers(trained(config, ranks)[2])


def together(config: dict[str, Any], size: int = 2) -> Rows:
    """The rows of several ranks, which every one of them has."""
    found = on_ranks(size, partial(rows_of, {**config, "ranks": size}))
    assert all(rows == found[0] for rows in found)
    return found[0]


def assert_close(rows: Rows, expected: Rows) -> None:
    """To 1e-5, where they are numbers."""
    for ours, theirs in zip(rows, expected, strict=True):
        words = {name: value for name, value in theirs.items() if isinstance(value, str)}
        assert {**ours, **words} == ours
        assert {**ours, **dict.fromkeys(words, 0)} == pytest.approx(
            {**theirs, **dict.fromkeys(words, 0)}, rel=1e-5, abs=1e-6
        )


@pytest.mark.parametrize("algorithm", ["ppo", "safe", "grpo", "safe_released", "otb", "gr"])
def test_rows_are_those_of_one_process_to_the_bit(tmp_path: Path, algorithm: str) -> None:
    config = small(tmp_path, f"algorithm={algorithm}", "updates=4")
    alone = rows_of({**config, "optimizer": {**config["optimizer"], "micro_batch_size": 4}}, Ranks())
    assert len(alone) == 4
    assert together(config) == alone


@pytest.mark.parametrize(
    ("overrides", "size"),
    [
        (("algorithm=safe", "optimizer.minibatches=2", "optimizer.epochs=2", "rollout.staleness=1"), 2),
        (("algorithm=grpo", "optimizer.minibatches=2", "rollout.samples_per_prompt=4"), 3),
        (("algorithm=otb", "rollout.samples_per_prompt=4"), 3),
        (("algorithm=lco", "optimizer.minibatches=2"), 2),
        (("algorithm=drpo", "optimizer.minibatches=2"), 2),
        (("algorithm=dapo", "rollout.dynamic_sampling=2"), 2),
        (("algorithm=remax", "optimizer.micro_batch_size=1"), 2),
        (("algorithm=safe", "controller/preview=cap"), 3),
        (("algorithm=ema_pg", "controller.route.k=3", "controller.reference.every=1", "optimizer.minibatches=2"), 2),
        (("algorithm=gr", "optimizer.minibatches=2", "optimizer.gradient_penalty.direction=random"), 2),
        (("algorithm=ppo", "critic=value_model", "optimizer.minibatches=2"), 2),
        (("algorithm=dapo", "correction=sequence_mask", "correction.threshold=0.001", "optimizer.lr=1e-2"), 3),
        (("algorithm=dapo", "correction=geometric", "objective.anchor=old", "rollout=noisy"), 2),
    ],
    ids=[
        "stale_minibatches",
        "groups_across_ranks",
        "places_across_ranks",
        "whole_distributions",
        "greatest",
        "further_rollouts",
        "greedy",
        "preview",
        "moving",
        "random_direction",
        "value_model",
        "sequence_mask",
        "noisy",
    ],
)
def test_rows_are_those_of_one_process_but_for_rounding(tmp_path: Path, overrides: tuple[str, ...], size: int) -> None:
    # Adam divides a gradient by its size: where rewards are alike it is all rounding, and must not become a step.
    config = small(tmp_path, *overrides, "updates=3", "optimizer.eps=1e-3")
    assert_close(together(config, size), rows_of(config, Ranks()))


@pytest.mark.parametrize("algorithm", ["dpo", "trace"])
def test_pairs_are_shared_too(algorithm: str, tmp_path: Path) -> None:
    config = offline(tmp_path, f"algorithm={algorithm}", "updates=3")
    assert_close(together(config), rows_of(config, Ranks()))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("algorithm=bapo",), "ranks must be 1 with objective=balanced_clip, whose loss is no sum over pieces"),
        (("algorithm=clip_cov",), "ranks must be 1 with objective=clip_cov"),
        (("algorithm=grpo_guard",), "ranks must be 1 with objective=grpo_guard"),
        (("algorithm=best_of_n", "rollout.batch_size=8", "ranks=3"), "ranks must divide the 4 prompts of a rollout"),
        (("algorithm=kl_cov",), "ranks must be 1 with objective=kl_cov"),
        (("rollout.batch_size=8", "optimizer.minibatches=4", "ranks=3"), "ranks must be at most the 2 responses"),
        (("device=mps",), "device must be auto, cpu or cuda with ranks=2, a GPU for each, got 'mps'"),
        (("ranks=0",), "ranks must be >= 1, got 0"),
    ],
)
def test_what_ranks_cannot_share_is_refused_before_anything_starts(overrides: tuple[str, ...], said: str) -> None:
    lines = problems(resolved("ranks=2", *overrides))
    assert len(lines) == 1
    assert lines[0].startswith(said)
