import pytest
import torch

from support.objectives import MASK, NEW, OLD, golden_batch, objective, reduced, token_gradient, told
from support.objectives import current as now


def test_worked_sequence_ratios_are_both_out_of_bounds() -> None:
    answer = told(objective("gspo"))
    ratio = answer.metrics_tok["sequence_ratio"]
    assert ratio[:, 0].tolist() == pytest.approx([1.193483, 0.387298], abs=1e-6)
    assert answer.clipped_tok[MASK].all()
    assert torch.equal(token_gradient(objective("gspo"), NEW), torch.zeros(5))


def test_the_loss_is_of_the_clipped_ratios() -> None:
    loss = reduced(told(objective("gspo")), golden_batch(), "sequence_mean")
    assert float(loss) == pytest.approx((-(1 + 4e-4) + (1 - 3e-4)) / 2, abs=1e-6)


def test_inside_the_bounds_the_gradient_is_that_of_the_responses_ratio() -> None:
    """Against autograd through exp(mean log ratio) itself."""
    made = objective("gspo", clip_range=0.9, clip_range_high=0.9)
    leaf, naive_leaf = NEW.clone().requires_grad_(True), NEW.clone().requires_grad_(True)
    reduced(told(made, now(leaf)), golden_batch(), "sequence_mean").backward()
    means = [((naive_leaf - OLD)[row][MASK[row]]).mean() for row in range(2)]
    ((-means[0].exp() + means[1].exp()) / 2).backward()
    assert torch.allclose(leaf.grad, naive_leaf.grad, atol=1e-6)


@pytest.mark.parametrize(
    ("bounds", "expected", "live"),
    [((2e-3, 2.5e-3), -0.505750, [False, False]), ((0.2, 0.2), -0.990225, [True, False])],
)
def test_worked_luspo_is_the_sum_over_a_responses_tokens(
    bounds: tuple[float, float], expected: float, live: list[bool]
) -> None:
    """``algorithm=luspo``: the same objective under ``sequence_sum`` of length 1, by hand mean_i T_i (-A clip(s_i))."""
    made = objective("gspo", clip_range=bounds[0], clip_range_high=bounds[1])
    leaf = NEW.clone().requires_grad_(True)
    loss = reduced(told(made, now(leaf)), golden_batch(), "sequence_sum", length=1)
    loss.backward()
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert [bool((leaf.grad[row][MASK[row]] != 0).all()) for row in range(2)] == live
    # Where it is alive: -A s_i / 2 for each token, T_i times what GSPO gives it.
    assert torch.allclose(leaf.grad[0], torch.full((3,), -1.193483 / 2 * live[0]), atol=1e-6)
