import pytest
import torch

from support.critics import critic

HEADS = torch.tensor([[[0.5, 0.8]]])


def test_worked_soft_minimum() -> None:
    assert float(critic("double_soft_min").combine(HEADS)) == pytest.approx(0.613966, abs=1e-6)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_any_number_of_heads_each_with_its_own_weights(count: int) -> None:
    value = critic("double_soft_min", heads=count)
    heads = value.heads(torch.randn(2, 4, 16), torch.ones(2, 3, dtype=torch.bool))
    assert heads.shape == (2, 1, count)
    assert heads[0, 0].unique().numel() == count
    assert (heads.amin(-1) - 1e-5 <= value.combine(heads)).all()
    assert (value.combine(heads) <= heads.mean(-1) + 1e-5).all()


def gradient(train_heads: str) -> list[float]:
    value = critic("double_soft_min", train_heads=train_heads, value_clip="none", value_loss="mse")
    heads = HEADS.clone().requires_grad_(True)
    value.loss(heads, HEADS, torch.tensor([[1.0]])).sum().backward()
    return heads.grad[0, 0].tolist()


def test_joint_training_reaches_the_heads_through_the_soft_minimum() -> None:
    # (0.613966 - 1) times softmax(-V / 0.3) = (0.731059, 0.268941)
    assert gradient("joint") == pytest.approx([-0.282214, -0.103820], abs=1e-5)


def test_each_head_alone_learns_the_return() -> None:
    # Mean over two heads of (V - R)^2 / 2: (V - R) / 2.
    assert gradient("each") == pytest.approx([-0.25, -0.1], abs=1e-6)


def test_released_loss_is_half_the_sum_of_clipped_and_unclipped_huber() -> None:
    # Both heads 0.9, old 0.5, return 1.2: errors -0.3 and (clipped 0.7) -0.5, Huber 0.045 and 0.125.
    value = critic("double_soft_min", value_clip="sum", value_loss="huber")
    loss = value.loss(torch.full((1, 1, 2), 0.9), torch.full((1, 1, 2), 0.5), torch.tensor([[1.2]]))
    assert float(loss) == pytest.approx(0.085, abs=1e-6)
