import math

import pytest
import torch

from safelab.errors import ConfigError
from support.objectives import (
    ADVANTAGE,
    MASK,
    NEW,
    OLD,
    REF,
    golden_batch,
    golden_loss,
    groups_batch,
    objective,
    reduced,
    told,
)
from support.objectives import current as now

H = 2.987364  # log(0.153 / 0.09) - log(0.006 / 0.07)


def naive(
    logp: list[list[float]], ref: list[list[float]], groups: list[int], scores: list[float], beta: float
) -> float:
    """The mean over prompts by float64 loops: best and worst response of each, DPO's loss of the two."""
    losses = []
    for prompt in dict.fromkeys(groups):
        rows = [row for row, group in enumerate(groups) if group == prompt]
        best, worst = max(rows, key=lambda row: scores[row]), min(rows, key=lambda row: scores[row])
        ratio = {row: sum(logp[row]) - sum(ref[row]) for row in (best, worst)}
        tied = scores[best] == scores[worst]
        losses.append(0.0 if tied else math.log1p(math.exp(-beta * (ratio[best] - ratio[worst]))))
    return sum(losses) / len(losses)


def test_the_worked_losses() -> None:
    assert golden_loss(objective("online_dpo"), "sequence_mean") == pytest.approx(0.554893, abs=1e-6)
    squared = golden_loss(objective("online_dpo", distance="squared"), "sequence_mean")
    assert squared == pytest.approx((H - 5.0) ** 2, abs=1e-5)


def test_each_token_of_a_pair_has_the_worked_coefficient() -> None:
    """D loss / d log p is -+ beta sigmoid(-beta h): the mean over two rows of n beta sigmoid(-beta h) = 0.085173."""
    leaf = NEW.clone().requires_grad_(True)
    reduced(told(objective("online_dpo"), now(leaf)), golden_batch(), "sequence_mean").backward()
    expected = 0.085173 / 2 * torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 0.0]])
    assert torch.allclose(leaf.grad, expected, atol=1e-6)


@pytest.mark.parametrize("beta", [0.05, 1.0])
def test_groups_of_any_size_give_the_loss_of_naive_loops(beta: float) -> None:
    draw = torch.Generator().manual_seed(5)
    groups, scores = [7, 3, 7, 3, 7, 3, 8, 8, 8], [0.4, 1.0, -2.0, 0.2, 0.4, 0.9, 0.5, 0.5, 0.5]
    logp, ref = (-3 * torch.rand(9, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    batch = groups_batch(groups, scores, torch.ones(9, 4, dtype=torch.bool), ref)
    found = reduced(told(objective("online_dpo", beta=beta), now(logp), batch), batch, "sequence_mean")
    assert float(found) == pytest.approx(naive(logp.tolist(), ref.tolist(), groups, scores, beta), rel=1e-9)


def test_a_prompt_of_equals_teaches_nothing_and_stays_in_the_mean() -> None:
    both = groups_batch([0, 0, 1, 1], [1.0, -1.0, 0.0, 0.0], MASK.repeat(2, 1), REF.repeat(2, 1))
    leaf = NEW.repeat(2, 1).requires_grad_(True)
    answer = told(objective("online_dpo"), now(leaf), both)
    loss = reduced(answer, both, "sequence_mean")
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.554893 / 2, abs=1e-6)
    assert leaf.grad[2:].abs().max() == 0
    assert answer.metrics_seq["ties"].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_metrics_are_those_of_each_response_s_prompt() -> None:
    metrics = told(objective("online_dpo"), now(NEW), golden_batch(advantage_tok=0.25 * ADVANTAGE)).metrics_seq
    assert metrics["score_margin"].tolist() == [0.5, 0.5]
    assert metrics["implied_margin"].tolist() == pytest.approx([0.1 * H] * 2, abs=1e-6)
    assert metrics["accuracy"].tolist() == [1.0, 1.0]
    assert metrics["chosen_logp"].tolist() == pytest.approx([math.log(0.153)] * 2, rel=1e-6)
    wrong = told(objective("online_dpo"), now(NEW), golden_batch(advantage_tok=-ADVANTAGE)).metrics_seq
    assert wrong["accuracy"].tolist() == [0.0, 0.0]
    assert wrong["chosen_logp"].tolist() == pytest.approx([math.log(0.006)] * 2, rel=1e-6)


def test_the_policy_that_wrote_has_no_influence() -> None:
    stale = golden_batch(logp_rollout_tok=OLD - 3.0, logp_old_tok=OLD + 1.0)
    assert float(reduced(told(objective("online_dpo"), batch=stale), stale, "sequence_mean")) == pytest.approx(
        0.554893, abs=1e-6
    )
    with pytest.raises(ConfigError, match="anchor=rollout, got old: no ratio is taken"):
        objective("online_dpo", anchor="old")
