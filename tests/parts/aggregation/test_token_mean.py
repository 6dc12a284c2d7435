import pytest

from support.objectives import golden_loss, objective


def test_every_token_weighs_the_same() -> None:
    # PPO's surrogate on the two responses: 1.2, 1.2, 0.944444 and -0.8, -0.8.
    assert golden_loss(objective("ppo_clip"), "token_mean") == pytest.approx(-(3.344444 - 1.6) / 5, abs=1e-6)
