import math

import pytest
import torch

from safelab.maths.importance import effective_share, geometric_ratio, importance_ratio
from support.objectives import MASK as GOLDEN
from support.objectives import NEW, OLD

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


def test_the_geometric_mean_is_the_root_of_the_product() -> None:
    """1.2 1.5 0.944444 and 0.75 0.2, from an independent script; over one token it is the ratio itself."""
    assert geometric_ratio(NEW - OLD, GOLDEN).tolist() == pytest.approx([1.193483, 0.387298], abs=1e-6)
    assert geometric_ratio((NEW - OLD)[:, :1], GOLDEN[:, :1]).tolist() == pytest.approx([1.2, 0.75], abs=1e-6)
    spoilt = (NEW - OLD).masked_fill(~GOLDEN, torch.nan)
    assert torch.equal(geometric_ratio(spoilt, GOLDEN), geometric_ratio(NEW - OLD, GOLDEN))
    far = torch.tensor([[1e9, 0.0], [-torch.inf, 0.0]])
    assert geometric_ratio(far, torch.ones_like(far) > 0).tolist() == pytest.approx([math.exp(20), math.exp(-20)])


def test_the_effective_share_by_hand_and_at_its_limits() -> None:
    ratio_tok = (NEW - OLD).exp()
    assert float(effective_share(ratio_tok, GOLDEN)) == pytest.approx(0.814313, abs=1e-6)
    weights = torch.tensor([[3.0, 0.0, 0.0, torch.nan]])
    mask = torch.tensor([[True, True, True, False]])
    assert float(effective_share(weights, mask)) == pytest.approx(1 / 3)
    assert float(effective_share(1e-8 * torch.ones(1, 4), torch.ones(1, 4) > 0)) == pytest.approx(1.0)
    assert float(effective_share(math.exp(20) * torch.ones(1, 4), torch.ones(1, 4) > 0)) == pytest.approx(1.0)
    assert float(effective_share(torch.zeros(1, 4), torch.ones(1, 4) > 0)) == 0.0
