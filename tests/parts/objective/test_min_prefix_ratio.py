import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, OLD, golden_batch, golden_loss, objective, token_gradient, told
from support.objectives import current as now


def test_worked_weights_and_loss() -> None:
    answer = told(objective("min_prefix_ratio"))
    assert answer.metrics_tok["prefix_ratio"][MASK].tolist() == pytest.approx([1, 1.2, 1.2, 1, 0.75], abs=1e-6)
    assert answer.metrics_tok["weight"][MASK].tolist() == pytest.approx([1.2, 1.28, 1.133333, 0.8, 0.8], abs=1e-6)
    assert golden_loss(objective("min_prefix_ratio")) == pytest.approx(-0.350907, abs=1e-6)


def test_one_early_small_ratio_damps_every_later_token() -> None:
    shift = torch.tensor([[0.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    answer = told(objective("min_prefix_ratio", clip_range=1.0), now(OLD + shift))
    damped = torch.tensor(-2.0).exp().item()
    assert answer.metrics_tok["weight"][0].tolist() == pytest.approx([1.0, damped, damped], abs=1e-6)


def test_the_inclusive_form_counts_the_token_twice() -> None:
    answer = told(objective("min_prefix_ratio", prefix="inclusive", clip_range=1.0, clip_range_high=9.0))
    # min(1.2) 1.2, min(1.2, 1.5) 1.5, min(.., 0.944) 0.944
    assert answer.metrics_tok["weight"][0].tolist() == pytest.approx([1.44, 1.8, 0.891975], abs=1e-5)


def test_no_token_loses_its_gradient() -> None:
    made = objective("min_prefix_ratio")
    weight = told(made).metrics_tok["weight"][MASK]
    assert torch.allclose(token_gradient(made, NEW), -weight * ADVANTAGE[MASK])


def test_padding_does_not_enter_the_minimum() -> None:
    junk = OLD.clone()
    junk[1, 2] = 40.0
    clean, dirty = (told(objective("min_prefix_ratio"), now(), golden_batch(logp_rollout_tok=x)) for x in (OLD, junk))
    assert torch.equal(clean.loss_tok[MASK], dirty.loss_tok[MASK])
