import torch

from safelab.plugins import build_option
from support.models import context


def test_rewards_pass_as_they_are():
    part = build_option("shaping/normaliser", {"name": "none"}, context())
    reward = torch.tensor([0.1, -7.0])
    state, same = part.step(part.init(), reward)
    assert same is reward
    assert state == part.init()
