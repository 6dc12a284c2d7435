import pytest

from support.evidence import evidence
from support.objectives import component


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([1.0, 0.0, 0.0, 1.0], [0.666667, -0.666667, -0.666667, 0.666667]),
        ([1.0, 0.0, 0.0, 0.0], [1.0] + [-0.333333] * 3),
    ],
)
def test_worked_groups(rewards, expected) -> None:
    made = component("advantage", "leave_one_out").estimate(evidence(rewards, [0] * 4))
    assert made.advantage_tok[:, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_equal_rewards_give_nothing_and_a_group_of_one_keeps_its_reward() -> None:
    made = component("advantage", "leave_one_out").estimate(evidence([0.3, 0.3, 0.7], [0, 0, 1]))
    assert made.advantage_tok[:, 0].tolist() == pytest.approx([0.0, 0.0, 0.7])
