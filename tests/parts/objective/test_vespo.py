import math

import pytest
import torch

from support.objectives import (
    ADVANTAGE,
    MASK,
    NEW,
    golden_batch,
    golden_loss,
    groups_batch,
    objective,
    token_gradient,
    told,
)
from support.objectives import current as now

DOCSTRING = {"power_gain": 2.0, "decay_gain": 1.5, "power_loss": 4.0, "decay_loss": 2.5}
"""The numbers of the docstring of the authors' code, which does not use them."""


def test_worked_weights_and_loss() -> None:
    answer = told(objective("vespo"))
    assert answer.metrics_seq["sequence_log_ratio"].exp().tolist() == pytest.approx([1.7, 0.15], abs=1e-6)
    assert answer.metrics_seq["response_weight"].tolist() == pytest.approx([0.353899, 0.018475], abs=1e-6)
    assert golden_loss(objective("vespo")) == pytest.approx(0.113973, abs=1e-6)


def test_the_docstrings_numbers_are_another_method() -> None:
    weights = told(objective("vespo", **DOCSTRING)).metrics_seq["response_weight"]
    assert weights.tolist() == pytest.approx([1.011320, 0.004239], abs=1e-6)


def test_no_gradient_goes_through_the_weight() -> None:
    phi = torch.tensor([0.353899] * 3 + [0.018475] * 2)
    assert torch.allclose(token_gradient(objective("vespo"), NEW), -phi * ADVANTAGE[MASK], atol=1e-6)


def test_long_responses_that_moved_a_little_fall_silent() -> None:
    """1,000 tokens at -0.01 nats each: W 4.5e-5, phi 6.9e-13 as a loss's weight, by hand."""
    tokens = torch.zeros(1, 1000)
    long = groups_batch([0], [-1.0], torch.ones(1, 1000, dtype=torch.bool), tokens)
    told_of = told(objective("vespo"), now(tokens - 0.01), long).metrics_seq
    assert told_of["response_weight"].item() == pytest.approx(math.exp(2 - 30 - 2 * math.exp(-10)), rel=1e-4)
    assert told_of["response_weight"].item() == pytest.approx(6.9e-13, rel=0.01)
    assert told_of["silent"].item() == 1.0


def test_the_ratio_is_held_above_its_floor() -> None:
    far = golden_batch(logp_rollout_tok=NEW + 30.0)
    told_of = told(objective("vespo"), now(NEW), far).metrics_seq
    assert told_of["sequence_log_ratio"].tolist() == pytest.approx([math.log(1e-8)] * 2, rel=1e-6)


def test_the_log_parts_weights_by_the_sign_of_the_advantage() -> None:
    told_of = told(objective("vespo")).metrics_seq
    mean = told_of["response_weight_gain"].mean() / told_of["response_gain_share"].mean()
    assert mean.item() == pytest.approx(0.353899, abs=1e-6)
