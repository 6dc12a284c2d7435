import pytest

from support.objectives import golden_loss, objective


def test_every_response_weighs_the_same() -> None:
    assert golden_loss(objective("ppo_clip"), "sequence_mean") == pytest.approx(-(3.344444 / 3 - 1.6 / 2) / 2, abs=1e-6)
