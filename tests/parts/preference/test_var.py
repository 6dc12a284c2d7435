import math
from dataclasses import replace

import pytest
import torch

from safelab.plugins import build_option
from support.models import context
from support.pair_batches import pair_batch

REFERENCE = [[math.log(0.09), math.log(0.07)]]


def var(**changes):
    option = {"name": "var", "beta": 1.0, "normalise_over": "pair", "include_ref_prob": True, **changes}
    return build_option("preference", option, context())


def test_by_worked_numbers() -> None:
    weight = var().weigh(pair_batch(REFERENCE, [[1.0, 0.0]]))
    torch.testing.assert_close(weight, torch.tensor([[0.777527, 0.222473]], dtype=torch.float64), atol=1e-6, rtol=0)
    batch = replace(pair_batch(REFERENCE, [[1.0, 0.0]]), weight=weight)
    value = var().loss_pair(torch.tensor([[-1.0, -2.0]], dtype=torch.float64), batch)
    assert value.item() == pytest.approx(0.777527 + 2 * 0.222473, abs=1e-6)


def test_without_the_references_probability_only_rewards_count() -> None:
    weight = var(include_ref_prob=False).weigh(pair_batch(REFERENCE, [[1.0, 0.0]]))
    assert weight[0, 0].item() == pytest.approx(math.e / (math.e + 1.0))


def test_over_the_batch_a_pair_of_good_answers_weighs_more() -> None:
    batch = pair_batch(REFERENCE * 2, [[1.0, 1.0], [0.0, 0.0]])
    weight = var(include_ref_prob=False, normalise_over="batch").weigh(batch)
    assert weight.sum().item() == pytest.approx(2.0)
    assert weight[0, 0].item() == pytest.approx(math.e / (math.e + 1.0))
    over_pairs = var(include_ref_prob=False).weigh(batch)
    torch.testing.assert_close(over_pairs, torch.full_like(over_pairs, 0.5))


def test_the_label_is_not_read() -> None:
    """The answer with the higher reward weighs more, wherever it stands."""
    chosen_is_worse = var(include_ref_prob=False).weigh(pair_batch(REFERENCE, [[0.0, 1.0]]))
    assert chosen_is_worse[0, 0] < chosen_is_worse[0, 1]


def test_the_gradient_is_that_of_the_weighted_likelihood() -> None:
    preference = var()
    batch = pair_batch(REFERENCE, [[1.0, 0.0]])
    batch = replace(batch, weight=preference.weigh(batch))
    logp = torch.tensor([[-1.0, -2.0]], dtype=torch.float64).requires_grad_()
    preference.loss_pair(logp, batch).sum().backward()
    torch.testing.assert_close(logp.grad, -batch.weight)
