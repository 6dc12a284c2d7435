import math

import pytest
import torch

from safelab.maths.importance import importance_ratio

MASK = torch.tensor([[True, True, False], [True, False, False]])
DIFFERENCE = torch.tensor([[0.5, -1.0, 7.0], [0.25, torch.nan, -3.0]], dtype=torch.float64)


def test_of_each_token() -> None:
    ratio = importance_ratio(DIFFERENCE, MASK, "token")
    expected = torch.tensor([[math.exp(0.5), math.exp(-1.0), 1.0], [math.exp(0.25), 1.0, 1.0]], dtype=torch.float64)
    assert torch.allclose(ratio, expected, rtol=1e-12)


def test_of_the_whole_response_for_each_of_its_tokens() -> None:
    ratio = importance_ratio(DIFFERENCE, MASK, "sequence")
    assert ratio[MASK].tolist() == pytest.approx([math.exp(-0.5)] * 2 + [math.exp(0.25)], rel=1e-12)


def test_a_response_is_one_product_however_long() -> None:
    """A hundred tokens at 0.3 nats: 30 nats, of which the clamp leaves 20."""
    long = torch.full((1, 100), 0.3)
    assert float(importance_ratio(long, long > 0, "sequence")[0, 0]) == pytest.approx(math.exp(20.0), rel=1e-5)
    assert float(importance_ratio(long, long > 0, "token")[0, 0]) == pytest.approx(math.exp(0.3), rel=1e-6)
