import pytest

from support.controllers import part


def test_only_the_phase_moves_it() -> None:
    threshold = part("threshold", "fixed")
    assert threshold.threshold(threshold.init(), 1.5) == pytest.approx(0.45)
