import math

import pytest
import torch

from safelab.errors import ConfigError
from safelab.types import TrainBatch
from support.objectives import (
    ADVANTAGE,
    MASK,
    NEW,
    OLD,
    golden_batch,
    golden_loss,
    groups_batch,
    objective,
    reduced,
    told,
)
from support.objectives import current as now

# Three responses to one prompt and two to another, in no order; response 3 is the first prompt's best.
GROUPS = [4, 9, 4, 4, 9]
SCORES = [0.2, -1.0, -0.7, 0.5, 1.0]
LENGTHS = torch.tensor([2, 3, 1, 2, 1])


def five(scores: list[float] = SCORES) -> tuple[torch.Tensor, TrainBatch]:
    logp = -torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    return logp, groups_batch(GROUPS, scores, torch.arange(3) < LENGTHS[:, None], torch.zeros(5, 3))


def test_the_worked_loss_is_that_of_the_better_response() -> None:
    """-log(0.6 * 0.3 * 0.85)."""
    assert golden_loss(objective("best_of_n"), "sequence_mean") == pytest.approx(1.877317, abs=1e-6)


def test_the_loss_is_the_mean_over_prompts_of_their_best_responses() -> None:
    logp, batch = five()
    found = reduced(told(objective("best_of_n"), now(logp), batch), batch, "sequence_mean")
    # Each response's number weighs alike, so the prompt of three weighs three of five: groups are of one size in a run.
    best = [-float(logp[row, :length].double().sum()) for row, length in ((3, 2), (4, 1))]
    assert float(found) == pytest.approx((3 * best[0] + 2 * best[1]) / 5, rel=1e-6)


def test_only_the_best_response_is_learnt_from() -> None:
    leaf = NEW.clone().requires_grad_(True)
    batch = golden_batch()
    reduced(told(objective("best_of_n"), now(leaf), batch), batch, "sequence_mean").backward()
    assert torch.allclose(leaf.grad, torch.tensor([[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0]]))


def test_of_equals_the_first_is_best_and_a_prompt_of_equals_teaches_nothing() -> None:
    logp, batch = five([0.5, 0.3, -0.7, 0.5, 0.3])
    leaf = logp.clone().requires_grad_(True)
    answer = told(objective("best_of_n"), now(leaf), batch)
    reduced(answer, batch, "sequence_mean").backward()
    assert (leaf.grad.abs().sum(dim=1) > 0).tolist() == [True, False, False, False, False]
    assert answer.metrics_seq["ties"].tolist() == [0.0, 1.0, 0.0, 0.0, 1.0]


def test_metrics_are_those_of_each_response_s_prompt() -> None:
    metrics = told(objective("best_of_n"), now(NEW), golden_batch(advantage_tok=0.5 * ADVANTAGE)).metrics_seq
    assert metrics["score_margin"].tolist() == [1.0, 1.0]
    assert metrics["chosen_logp"].tolist() == pytest.approx([math.log(0.6 * 0.3 * 0.85)] * 2, rel=1e-6)


def test_old_probabilities_and_padding_have_no_influence() -> None:
    spoiled = golden_batch(logp_rollout_tok=OLD - 3.0, logp_old_tok=OLD + 1.0)
    answer = told(objective("best_of_n"), now(torch.where(MASK, NEW, -50.0)), spoiled)
    assert float(reduced(answer, spoiled, "sequence_mean")) == pytest.approx(1.877317, abs=1e-6)


def test_an_anchor_that_is_not_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="anchor=rollout, got old: no ratio is taken"):
        objective("best_of_n", anchor="old")
