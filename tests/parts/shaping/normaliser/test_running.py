import pytest
import torch

from safelab.plugins import build_option
from support.models import context


def build(eps=1e-12):
    return build_option("shaping/normaliser", {"name": "running", "eps": eps}, context())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_by_hand_in_the_type_of_the_rewards(dtype):
    part = build()
    state, first = part.step(part.init(), torch.tensor([1.0, 2.0, 3.0], dtype=dtype))
    _, second = part.step(state, torch.tensor([4.0, 6.0], dtype=dtype))
    torch.testing.assert_close(first, torch.tensor([-1.0, 0.0, 1.0], dtype=dtype))
    torch.testing.assert_close(second, torch.tensor([2.0, 4.0], dtype=dtype))


def test_eps_is_read():
    part = build(eps=3.0)
    # 1 / sqrt(1 + 3)
    torch.testing.assert_close(part.step(part.init(), torch.tensor([1.0, 2.0, 3.0]))[1], torch.tensor([-0.5, 0.0, 0.5]))
