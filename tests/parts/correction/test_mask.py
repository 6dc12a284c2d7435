"""Ratios 1.2, 1.5, 0.944444 (product 1.7) and 0.75, 0.2 (product 0.15); advantages +1 and -1, so that -w A sums up."""

import pytest
import torch

from safelab.errors import ConfigError
from support.objectives import MASK, NEW, OLD, component
from support.objectives import corrected_losses as losses


@pytest.mark.parametrize(
    ("level", "low", "high", "by_token", "by_sequence", "outside"),
    [
        ("token", 0.5, 5.0, -0.578889, -0.419907, [4]),  # IcePop drops the last token
        ("sequence", 0.5, 2.0, -1.020000, -0.850000, [3, 4]),  # MIS drops the second response
        ("sequence", 0.0, 3.0, -0.960000, -0.775000, []),  # TRL's sequence_mask
    ],
)
def test_worked_numbers(
    level: str, low: float, high: float, by_token: float, by_sequence: float, outside: list[int]
) -> None:
    """From an independent script: minus weight times advantage, token by token and response by response."""
    correction = component("correction", "mask", level=level, low=low, high=high)
    assert losses(correction) == pytest.approx((by_token, by_sequence), abs=1e-6)
    assert correction.weigh(NEW - OLD, MASK).corrected_tok[MASK].nonzero().flatten().tolist() == outside


def test_the_yaml_is_icepop() -> None:
    ratio = torch.tensor([[0.49, 0.51, 4.9], [5.1, 1.0, 1.0]])
    weights = component("correction", "mask").weigh(ratio.log(), MASK)
    assert torch.allclose(weights.weight_tok[MASK], torch.tensor([0.0, 0.51, 4.9, 0.0, 1.0]))


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_policies_that_agree_have_weights_of_exactly_1(level: str) -> None:
    weights = component("correction", "mask", level=level).weigh(OLD - OLD, MASK)
    assert (weights.weight_tok == 1.0).all()
    assert not weights.corrected_tok.any()


def test_bounds_without_room_between_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"correction must have a low below its high, got 1\.0 and 1\.0"):
        component("correction", "mask", low=1.0, high=1.0)
