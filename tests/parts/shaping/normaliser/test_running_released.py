import torch

from safelab.plugins import build_option
from support.models import context


def build(eps=1e-8):
    return build_option("shaping/normaliser", {"name": "running_released", "eps": eps}, context())


def test_by_hand():
    part = build()
    _, scaled = part.step(part.init(), torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(scaled, torch.tensor([-0.999867, 0.000067, 1.0]), atol=1e-5, rtol=0)


def test_eps_is_added_to_the_deviation():
    part = build(eps=1.0)
    # 1 / (1.00007 + 1)
    _, scaled = part.step(part.init(), torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(scaled[2], torch.tensor(0.50002), atol=3e-5, rtol=0)


def test_later_rewards_move_the_statistics_that_they_are_measured_on():
    part = build()
    state, _ = part.step(part.init(), torch.tensor([0.0, 1.0]))
    _, alone = part.step(state, torch.tensor([5.0, 5.0]))
    _, together = part.step(state, torch.tensor([5.0, -100.0]))
    assert alone[0] != together[0]
