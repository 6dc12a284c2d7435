"""Where a value is read, what its gradient reaches, and the target that bootstraps."""

import pytest
import torch

from safelab.errors import ConfigError
from support.critics import critic

HIDDEN = torch.randn(3, 6, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[True] * 5, [True, True, False, False, False], [True] + [False] * 4])


@pytest.mark.parametrize(
    ("read_at", "columns"),
    [
        ("prompt_end", [[0], [0], [0]]),
        ("response_end", [[5], [2], [1]]),
        ("last_position", [[5], [5], [5]]),
        ("per_token", [[0, 1, 2, 3, 4]] * 3),
    ],
)
def test_the_value_is_a_function_of_the_named_columns_only(read_at: str, columns: list[list[int]]) -> None:
    hidden = HIDDEN.clone().requires_grad_(True)
    value = critic("single", read_at=read_at, detach=False)
    heads = value.heads(hidden, MASK)
    assert heads.shape == (3, len(columns[0]), 1)
    heads.sum().backward()
    touched = (hidden.grad.abs().sum(dim=-1) > 0).nonzero().tolist()
    assert touched == [[row, column] for row, wanted in enumerate(columns) for column in wanted]


def test_at_the_prompts_end_the_value_cannot_see_the_response() -> None:
    value = critic("single", read_at="prompt_end")
    other = HIDDEN.clone()
    other[:, 1:] += 3.0
    assert torch.equal(value.heads(HIDDEN, MASK), value.heads(other, MASK))


@pytest.mark.parametrize("detach", [True, False])
def test_detach_keeps_the_value_gradient_out_of_the_policy(detach: bool) -> None:
    hidden = HIDDEN.clone().requires_grad_(True)
    value = critic("single", detach=detach)
    loss = value.loss(value.heads(hidden, MASK), torch.zeros(3, 5, 1), torch.ones(3, 5)).sum()
    loss.backward()
    assert (hidden.grad is None) is detach
    assert sum(float(weight.grad.abs().sum()) for weight in value.module.parameters()) > 0


def test_weights_stay_float32_under_a_bfloat16_policy() -> None:
    value = critic("single")
    heads = value.heads(HIDDEN.bfloat16(), MASK)
    assert heads.dtype == torch.float32


def test_layer_norm_is_an_option() -> None:
    scaled = 100.0 * HIDDEN
    with_norm, without = critic("single", layer_norm=True), critic("single", layer_norm=False)
    assert torch.allclose(with_norm.heads(HIDDEN, MASK), with_norm.heads(scaled, MASK), atol=1e-3)
    assert not torch.allclose(without.heads(HIDDEN, MASK), without.heads(scaled, MASK), atol=1e-3)


def test_the_target_follows_slowly_and_is_what_bootstraps() -> None:
    value = critic("single", polyak_rate=0.25)
    before = value.bootstrap(HIDDEN, MASK)
    assert torch.allclose(before, value.heads(HIDDEN, MASK))
    with torch.no_grad():
        value.module.heads[0][2].bias.add_(4.0)
    assert torch.equal(value.bootstrap(HIDDEN, MASK), before)
    value.after_step()
    assert torch.allclose(value.bootstrap(HIDDEN, MASK), before + 1.0, atol=1e-5)


def test_a_target_that_nothing_reads_is_refused() -> None:
    with pytest.raises(ConfigError, match="polyak_rate"):
        critic("single", read_at="prompt_end", polyak_rate=0.05)


def test_initial_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    torch.manual_seed(1)
    first = critic("single", seed=3).heads(HIDDEN, MASK)
    torch.manual_seed(2)
    assert torch.equal(first, critic("single", seed=3).heads(HIDDEN, MASK))
    assert not torch.equal(first, critic("single", seed=4).heads(HIDDEN, MASK))


def test_worked_value_loss() -> None:
    # V 0.9, V_old 0.5, R 1.2, range 0.2: clipped 0.7, max(0.09, 0.25) / 2 = 0.125.
    value = critic("single", value_clip="max")
    loss = value.loss(torch.tensor([[[0.9]]]), torch.tensor([[[0.5]]]), torch.tensor([[1.2]]))
    assert float(loss) == pytest.approx(0.125, abs=1e-6)
