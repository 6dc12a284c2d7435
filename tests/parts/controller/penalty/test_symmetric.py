import pytest

from support.controllers import part


def test_value_and_slope_by_hand() -> None:
    above = part("penalty", "symmetric").term(kl=0.5, threshold=0.3, coef=0.1)
    below = part("penalty", "symmetric").term(kl=0.1, threshold=0.3, coef=0.1)
    assert (above.value, above.slope) == (pytest.approx(0.004), pytest.approx(0.04))
    assert (below.value, below.slope) == (pytest.approx(0.004), pytest.approx(-0.04))
