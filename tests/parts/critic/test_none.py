import torch

from support.critics import critic


def test_it_gives_no_values_and_has_no_weights() -> None:
    made = critic("none")
    hidden, mask = torch.zeros(3, 5, 16), torch.ones(3, 4, dtype=torch.bool)
    assert made.heads(hidden, mask).shape == (3, 0, 1)
    assert made.combine(made.bootstrap(hidden, mask)).shape == (3, 0)
    assert made.loss(made.heads(hidden, mask), made.heads(hidden, mask), torch.zeros(3, 0)).shape == (3, 0)
    assert list(made.module.parameters()) == []
    assert made.grain is None
