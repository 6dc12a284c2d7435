import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.controllers import part


def test_value_and_slope_by_hand() -> None:
    term = part("penalty", "asymmetric").term(kl=0.5, threshold=0.3, coef=0.1)
    assert (term.value, term.slope) == (pytest.approx(0.004), pytest.approx(0.04))


def test_free_up_to_the_threshold_and_for_negative_estimates() -> None:
    for kl in (-0.4, 0.0, 0.3):
        term = part("penalty", "asymmetric").term(kl=kl, threshold=0.3, coef=0.1)
        assert (term.value, term.slope) == (0.0, 0.0)


@given(st.floats(-2, 5), st.floats(0, 1))
def test_slope_is_the_derivative_of_the_value(kl: float, threshold: float) -> None:
    penalty = part("penalty", "asymmetric")
    step = 1e-5
    numeric = (penalty.term(kl + step, threshold, 0.1).value - penalty.term(kl - step, threshold, 0.1).value) / (
        2 * step
    )
    assert penalty.term(kl, threshold, 0.1).slope == pytest.approx(numeric, abs=1e-6)
