"""One forward pass serves as many stages as it can, and how a rollout is cut for the passes moves no number."""

from pathlib import Path

import pytest
import torch

from safelab.parts.policy import _vocabulary
from safelab.training import loop, rollouts, stages
from safelab.training.rewards import score_rewards
from support.runs import numbers, parts_of, small, trained

COLUMNS = ("logp_old_tok", "logp_ref_tok", "entropy_old_tok", "kl_exact_tok", "hidden_ref", "heads_old")


@pytest.mark.parametrize("adapter", ["none", "lora"])
@pytest.mark.parametrize("algorithm", ["safe", "ppo", "safe_released"])
def test_the_scoring_pass_may_serve_the_first_epoch(
    algorithm: str, adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path, f"algorithm={algorithm}", f"policy/adapter={adapter}", "optimizer.lr=1e-2")
    shared = numbers(trained(config)[2])
    asked = []
    monkeypatch.setattr(loop, "reuses_pass", lambda parts, rollout: bool(asked.append(parts)))
    assert numbers(trained(config)[2]) == shared
    assert len(asked) == 3


def test_micro_batches_score_as_the_whole(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "optimizer.micro_batch_size=3"))
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    rewards = score_rewards(parts, rollout)
    cut = stages.score_tokens(parts, rollout, *rewards)
    whole, first_pass = stages.score_with_pass(parts, rollout, *rewards, keep=True)
    assert first_pass.stats.logp_tok.requires_grad
    for name in COLUMNS:
        assert not getattr(whole, name).requires_grad
        assert torch.allclose(getattr(cut, name), getattr(whole, name), atol=1e-5)


def test_a_vocabulary_in_pieces_trains_to_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(
        tmp_path, "algorithm=safe", "optimizer.lr=1e-2", "controller/threshold=fixed", "controller.threshold.base=1e-6"
    )
    whole = numbers(trained(config)[2])
    monkeypatch.setattr(_vocabulary, "SMALL", 1)
    cut = numbers(trained(config)[2])
    for mine, theirs in zip(cut, whole, strict=True):
        for name, value in theirs.items():
            assert mine[name] == (pytest.approx(value, abs=1e-4, rel=1e-4) if isinstance(value, float) else value)
