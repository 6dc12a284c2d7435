import pytest

from support.controllers import part


def test_value_and_slope_by_hand() -> None:
    term = part("penalty", "linear").term(kl=2.0, threshold=99.0, coef=0.05)
    assert term.value == pytest.approx(0.1, abs=1e-12)
    assert term.slope == 0.05
