import pytest
import torch

from support.evidence import evidence
from support.objectives import component


def advantages(rewards, groups, **changes):
    return component("advantage", "group_norm", **changes).estimate(evidence(rewards, groups)).advantage_tok[:, 0]


@pytest.mark.parametrize(
    ("rewards", "scaled", "plain"),
    [
        ([1.0, 0.0, 0.0, 1.0], [0.866024, -0.866024, -0.866024, 0.866024], [0.5, -0.5, -0.5, 0.5]),
        ([1.0, 0.0, 0.0, 0.0], [1.499997, -0.499999, -0.499999, -0.499999], [0.75, -0.25, -0.25, -0.25]),
    ],
)
def test_worked_groups(rewards, scaled, plain) -> None:
    assert advantages(rewards, [0] * 4, eps=1e-6).tolist() == pytest.approx(scaled, abs=1e-6)
    assert advantages(rewards, [0] * 4, scale=False).tolist() == pytest.approx(plain, abs=1e-6)


def test_groups_are_known_by_their_ids_in_any_order() -> None:
    mixed = advantages([1.0, 5.0, 0.0, 7.0], [3, 9, 3, 9], scale=False)
    assert mixed.tolist() == pytest.approx([0.5, -1.0, -0.5, 1.0])


def test_equal_rewards_give_nothing_and_a_group_of_one_keeps_its_reward() -> None:
    assert advantages([0.3, 0.3, 0.7], [0, 0, 1], eps=1e-6).tolist() == pytest.approx([0.0, 0.0, 0.7], abs=1e-5)


def test_the_rounding_of_a_reward_model_is_no_advantage() -> None:
    """Four equally good responses, one read in another batch and so 4 units of float32 beside the others."""
    gap = 4 * 2.0**-23
    rewards = [1.0, 1.0, 1.0, 1.0 + gap]
    # Of (0, 0, 0, gap) the deviation is gap / 2.
    assert advantages(rewards, [0] * 4)[3].item() == pytest.approx(0.75 * gap / (gap / 2 + 1e-4), rel=1e-5)
    assert advantages(rewards, [0] * 4).abs().max() < 0.005
    assert advantages(rewards, [0] * 4, eps=1e-6).abs().max() > 0.2, "verl's eps is no bigger than the rounding"


def test_padding_gets_none_and_the_kl_in_the_reward_counts() -> None:
    penalty = torch.tensor([[-0.1, -0.2], [-0.4, 9.0]])
    given = evidence([1.0, 1.0], [0, 0], [2, 1], token_reward_tok=penalty)
    made = component("advantage", "group_norm", scale=False).estimate(given)
    assert made.advantage_tok.tolist() == [pytest.approx([0.05, 0.05]), pytest.approx([-0.05, 0.0])]
