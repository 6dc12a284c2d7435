"""Half-configured offline runs, and what an offline run would pass over in silence: one line each."""

from pathlib import Path

import pytest

from safelab.app.config.build import problems
from support.pairs import offline, write_pairs
from support.runs import small

DPO = "algorithm=dpo"
REFUSED = {
    "no pairs": ([DPO, "pairs=none"], "pairs must be one of its options with preference=dpo"),
    "no loss": ([DPO, "preference=none"], "preference must be one of its options with pairs=jsonl"),
    "penalty": ([DPO, "controller=fixed_kl"], "controller must be none with preference=dpo"),
    "whole stack": ([DPO, "controller=safe"], "controller must be none with preference=dpo"),
    "preview": ([DPO, "controller/preview=cap"], "controller must be none with preference=dpo"),
    "shaping": ([DPO, "shaping=running"], "shaping must be none with preference=dpo"),
    "missing end": ([DPO, "shaping.missing_end_reward=0.0"], "shaping must be none with preference=dpo"),
    "charge": ([DPO, "shaping.missing_end_penalty=1.0"], "shaping must be none with preference=dpo"),
    "critic": ([DPO, "critic=single"], "critic must be none with preference=dpo, which reads no values, got single"),
    "staleness": ([DPO, "rollout.staleness=2"], "rollout.staleness must be 0 with preference=dpo"),
    "entropy": ([DPO, "objective.entropy_coef=0.1"], "objective.entropy_coef must be 0 with preference=dpo"),
    "epochs": ([DPO, "optimizer.epochs=2"], "optimizer.epochs must be 1 with preference=dpo, got 2"),
    "minibatches": ([DPO, "optimizer.minibatches=2"], "optimizer.minibatches must be 1 with preference=dpo, got 2"),
    "target": ([DPO, "optimizer.target_kl=0.1"], "optimizer.target_kl must be null with preference=dpo, got 0.1"),
    "piece": ([DPO, "optimizer.micro_batch_size=1"], "optimizer.micro_batch_size must be >= 2 with preference=dpo"),
    "guard": ([DPO, "pairs.evaluate_every=2", "guard=stop"], "pairs.evaluate_every must be 1 with guard=stop"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    overrides, told = REFUSED[case]
    config = offline(tmp_path, *overrides) if case != "no pairs" else small(tmp_path, *overrides)
    (line,) = problems(config)
    assert line.startswith(told)


def test_pairs_that_are_held_out_of_the_prompts_are_not_learnt_from(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.jsonl.gz", 8)
    (line,) = problems(
        small(tmp_path, "algorithm=dpo", "pairs=hh_rlhf", f"pairs.path={path}") | {"data": hh_data(path, 4)}
    )
    assert line.startswith("pairs.held_out must be at least data.held_out of the same file, got 0 and 4")


def hh_data(path: Path, held_out: int) -> dict[str, object]:
    cut = {
        "cut": "last_turn",
        "limit": None,
        "held_out": held_out,
        "part": "train",
        "max_tokens": None,
        "skip_unfit": False,
        "seed": 0,
    }
    return {"name": "hh_rlhf", "path": str(path), "subset": "harmless-base", "split": "train", **cut}


def test_an_online_run_is_not_asked(tmp_path: Path) -> None:
    assert problems(small(tmp_path, "algorithm=safe")) == []
