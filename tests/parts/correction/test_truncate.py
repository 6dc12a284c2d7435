"""Ratios 1.2, 1.5, 0.944444 (product 1.7) and 0.75, 0.2 (product 0.15); advantages +1 and -1, so that -w A sums up."""

import math

import pytest
import torch

from safelab.errors import ConfigError
from support.objectives import MASK, NEW, OLD, component
from support.objectives import corrected_losses as losses

RHO = torch.tensor([[1.2, 1.5, 0.85 / 0.9], [0.75, 0.2, 1.0]])


@pytest.mark.parametrize(
    ("level", "cap", "by_token", "by_sequence"),
    [
        ("token", 2.0, -0.538889, -0.369907),
        ("token", 1.25, -0.488889, -0.328241),
        ("sequence", 2.0, -0.960000, -0.775000),
    ],
)
def test_worked_numbers(level: str, cap: float, by_token: float, by_sequence: float) -> None:
    """From an independent script: minus weight times advantage, token by token and response by response."""
    correction = component("correction", "truncate", level=level, cap=cap)
    assert losses(correction) == pytest.approx((by_token, by_sequence), abs=1e-6)


def test_the_yaml_is_token_by_token_at_most_2() -> None:
    weights = component("correction", "truncate").weigh(torch.tensor([[0.1, math.log(2.0) + 0.1, -5.0]]), MASK[:1])
    assert torch.allclose(weights.weight_tok, torch.tensor([[math.exp(0.1), 2.0, math.exp(-5.0)]]))
    assert weights.corrected_tok.tolist() == [[False, True, False]]


def test_only_what_is_above_the_cap_is_corrected() -> None:
    weights = component("correction", "truncate", cap=1.25).weigh(NEW - OLD, MASK)
    assert weights.corrected_tok[MASK].tolist() == [False, True, False, False, False]
    assert torch.allclose(weights.weight_tok[MASK], RHO.clamp(max=1.25)[MASK])


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_policies_that_agree_have_weights_of_exactly_1(level: str) -> None:
    weights = component("correction", "truncate", level=level).weigh(OLD - OLD, MASK)
    assert (weights.weight_tok == 1.0).all()
    assert not weights.corrected_tok.any()


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_neither_padding_nor_an_impossible_token_reaches_a_weight(level: str) -> None:
    log_ratio_tok = (NEW - OLD).masked_fill(~MASK, torch.nan)
    correction = component("correction", "truncate", level=level)
    assert torch.equal(
        correction.weigh(log_ratio_tok, MASK).weight_tok[MASK], correction.weigh(NEW - OLD, MASK).weight_tok[MASK]
    )
    extreme = torch.tensor([[1e6, -1e6, torch.inf]])
    assert torch.isfinite(correction.weigh(extreme.nan_to_num(posinf=1e7), MASK[:1]).weight_tok).all()


def test_an_unbounded_cap_estimates_the_mean_under_the_other_policy() -> None:
    """E_mu[rho A] = E_old[A] over a vocabulary of five tokens, by summation."""
    mu, old = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1]), torch.tensor([0.1, 0.3, 0.3, 0.2, 0.1])
    advantage = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])
    weights = component("correction", "truncate", cap=1e9).weigh((old / mu).log()[:, None], torch.ones(5, 1) > 0)
    assert float((mu * weights.weight_tok[:, 0] * advantage).sum()) == pytest.approx(float((old * advantage).sum()))


def test_a_cap_below_1_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"correction\.cap must be >= 1, got 0\.5"):
        component("correction", "truncate", cap=0.5)
