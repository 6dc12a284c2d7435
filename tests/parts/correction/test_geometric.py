"""Ratios 1.2, 1.5, 0.944444 (G 1.193483) and 0.75, 0.2 (G 0.387298); advantages +1 and -1, so that -w A sums up."""

import math

import pytest
import torch

from safelab.errors import ConfigError
from support.objectives import MASK, NEW, OLD, component
from support.objectives import corrected_losses as losses


@pytest.mark.parametrize(
    ("low", "high", "cap", "by_token", "by_sequence", "corrected"),
    [
        (0.5, 2.0, 2.0, -0.728889, -0.607407, [3, 4]),  # the second response goes
        (0.5, 2.0, 1.25, -(1.2 + 1.25 + 0.85 / 0.9) / 5, -(1.2 + 1.25 + 0.85 / 0.9) / 6, [1, 3, 4]),
        (0.5, 2.0, None, -0.6, -0.5, [3, 4]),  # three tokens of weight 1
        (0.0, 2.0, 2.0, -0.538889, -0.369907, []),  # without bounds: truncation by token
        (0.0, 1.1, None, 0.4, 0.5, [0, 1, 2]),  # the first response goes
        (0.999, 1.001, None, 0.0, 0.0, [0, 1, 2, 3, 4]),  # verl's bounds leave nothing of these
    ],
)
def test_worked_numbers(
    low: float, high: float, cap: float | None, by_token: float, by_sequence: float, corrected: list[int]
) -> None:
    """The first row is from an independent script; the others were added up by hand."""
    correction = component("correction", "geometric", low=low, high=high, cap=cap)
    assert losses(correction) == pytest.approx((by_token, by_sequence), abs=1e-6)
    assert correction.weigh(NEW - OLD, MASK).corrected_tok[MASK].nonzero().flatten().tolist() == corrected


@pytest.mark.parametrize("cap", [None, 2.0])
def test_policies_that_agree_have_weights_of_exactly_1(cap: float | None) -> None:
    weights = component("correction", "geometric", cap=cap).weigh(OLD - OLD, MASK)
    assert (weights.weight_tok == 1.0).all()
    assert not weights.corrected_tok.any()


def test_it_does_not_ask_how_long_a_response_is() -> None:
    """At one ratio per token the product leaves any bounds in the end, the geometric mean stays where it is."""
    for length in (1, 50):
        ratio_tok, mask = torch.full((1, length), math.log(0.9)), torch.ones(1, length, dtype=torch.bool)
        assert (component("correction", "geometric").weigh(ratio_tok, mask).weight_tok == 1.0).all()
        by_product = component("correction", "mask", level="sequence").weigh(ratio_tok, mask).weight_tok
        assert (by_product > 0).all() == (length == 1)


def test_neither_padding_nor_an_impossible_token_makes_a_weight_that_is_no_number() -> None:
    correction = component("correction", "geometric", cap=2.0)
    spoilt = (NEW - OLD).masked_fill(~MASK, torch.nan)
    assert torch.equal(
        correction.weigh(spoilt, MASK).weight_tok[MASK], correction.weigh(NEW - OLD, MASK).weight_tok[MASK]
    )
    for extreme in (1e7, -1e7, torch.inf, -torch.inf):
        weights = correction.weigh(torch.tensor([[0.0, extreme, 0.0]]), MASK[:1])
        assert weights.weight_tok.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"low": 1.0, "high": 1.0}, r"correction must have a low below its high, got 1\.0 and 1\.0"),
        ({"cap": 0.5}, r"correction\.cap must be >= 1, got 0\.5"),
        ({"low": 1.5}, r"correction\.low must be <= 1, got 1\.5"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        component("correction", "geometric", **changes)
