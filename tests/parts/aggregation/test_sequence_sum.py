import pytest

from support.objectives import golden_loss, objective


@pytest.mark.parametrize("length", [1, 32])
def test_the_divisor_knows_no_length(length: int) -> None:
    loss = golden_loss(objective("ppo_clip"), "sequence_sum", length=length)
    assert loss == pytest.approx(-(3.344444 - 1.6) / 2 / length, abs=1e-6)
