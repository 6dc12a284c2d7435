"""What every critic must keep, whatever its options: found by their YAML, so that a new one is held to it too."""

from pathlib import Path

import pytest
import torch

from support.critics import CONF, critic

# ``none`` gives no values, which tests/critic/test_none.py holds it to.
OPTIONS = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "none")
SEES_NO_PADDING = ("prompt_end", "response_end", "per_token")
OWN_PLACE = {"value_model"}
"""Options that read at one place only, and have no key for it."""


def places(*read_at: str) -> list[tuple[str, dict[str, str]]]:
    """Each option at each place where it may read."""
    return [
        (name, changes)
        for name in OPTIONS
        for changes in ([{}] if name in OWN_PLACE else [{"read_at": place} for place in read_at])
    ]


HIDDEN = torch.randn(4, 6, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.arange(5) < torch.tensor([[5], [3], [1], [2]])


def test_there_are_critics() -> None:
    assert len(OPTIONS) >= 2
    assert Path(CONF).name == "critic"


@pytest.mark.parametrize(("name", "place"), places(*SEES_NO_PADDING, "last_position"))
def test_the_order_of_sequences_is_the_order_of_values(name: str, place: dict[str, str]) -> None:
    value = critic(name, **place)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(value.heads(HIDDEN[order], MASK[order]), value.heads(HIDDEN, MASK)[order], atol=1e-6)


@pytest.mark.parametrize(("name", "place"), places(*SEES_NO_PADDING))
def test_padding_changes_no_value_that_counts(name: str, place: dict[str, str]) -> None:
    value = critic(name, **place)
    wider = torch.cat([HIDDEN, torch.full((4, 3, 16), 9.0)], dim=1)
    wider_mask = torch.cat([MASK, torch.zeros(4, 3, dtype=torch.bool)], dim=1)
    plain, padded = value.heads(HIDDEN, MASK), value.heads(wider, wider_mask)
    counts = MASK if value.grain == "token" else torch.ones(4, 1, dtype=torch.bool)
    assert torch.allclose(padded[:, : plain.shape[1]][counts], plain[counts], atol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_combined_value_lies_between_least_and_mean_of_the_heads(name: str) -> None:
    value = critic(name)
    heads = value.heads(HIDDEN, MASK)
    combined = value.combine(heads)
    assert combined.shape == heads.shape[:-1]
    assert (combined >= heads.amin(dim=-1) - 1e-6).all()
    assert (combined <= heads.mean(dim=-1) + 1e-6).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_head_that_is_right_costs_nothing_and_a_wrong_one_learns(name: str) -> None:
    value = critic(name)
    heads = value.heads(HIDDEN, MASK)
    right = torch.full_like(heads, 0.7)
    assert value.loss(right, right, right[..., 0]).abs().max() < 1e-12
    value.loss(heads, heads.detach(), heads[..., 0].detach() + 1.0).sum().backward()
    above = value.module.score if name in OWN_PLACE else value.module.heads
    assert all(float(weight.grad.abs().sum()) > 0 for weight in above.parameters())


@pytest.mark.parametrize("name", OPTIONS)
def test_the_combined_value_of_equal_heads_is_theirs(name: str) -> None:
    value = critic(name)
    equal = torch.full_like(value.heads(HIDDEN, MASK), -0.3)
    assert torch.allclose(value.combine(equal), equal[..., 0], atol=1e-6)
