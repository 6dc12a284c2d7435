"""Evaluation: the same prompts for both sides, KL 0 for the reference, and distinct-n by hand."""

from pathlib import Path

import pytest

from safelab.training.evaluation import distinct_n, evaluate
from support.runs import parts_of, run, small


def test_distinct_n_by_hand() -> None:
    # a b a b / a: words a, b of five; pairs ab, ba, ab
    assert distinct_n(["a b a b", "a"], 1) == pytest.approx(2 / 5)
    assert distinct_n(["a b a b", "a"], 2) == pytest.approx(2 / 3)
    assert distinct_n(["a"], 2) == 0.0


def test_a_trained_policy_beats_the_one_it_started_from(tmp_path: Path) -> None:
    overrides = ["algorithm=ppo_matched", "updates=20", "optimizer.lr=3e-3", "rollout.batch_size=32"]
    config = small(tmp_path, *overrides)
    outcome, _ = run(config)
    weights = outcome.directory / "checkpoints" / "update_000020" / "policy"
    found = evaluate(parts_of(config), weights, 40, lambda text: None)
    assert found.policy.prompts == found.reference.prompts
    assert len(found.policy.prompts) == 64
    assert found.reference.kl_token == pytest.approx(0.0, abs=1e-6)
    assert found.policy.kl_token > 0.01
    assert sum(found.policy.reward_seq) > sum(found.reference.reward_seq) + 10
    again = evaluate(parts_of(config), weights, 40, lambda text: None)
    assert again == found
