import pytest

from support.controllers import part, signals


def factor(entropies: list[float], **changes: object) -> float:
    gate = part("gate", "entropy", **changes)
    state = gate.init()
    for entropy in entropies:
        state = gate.step(state, signals(entropy=entropy), 0.0)
    return gate.factor(state)


@pytest.mark.parametrize(
    ("entropy", "expected"),
    [(0.5, 3.3333333), (1.0, 1.8181818), (1.5, 1.25), (1.9, 1.0), (2.5, 0.7692308), (3.9, 0.5), (9.0, 0.5)],
)
def test_released_values(entropy: float, expected: float) -> None:
    assert factor([entropy]) == pytest.approx(expected, abs=1e-6)


def test_one_before_any_entropy() -> None:
    assert factor([]) == 1.0


def test_at_zero_entropy_it_is_floor_over_eps_unless_bounded() -> None:
    assert factor([0.0]) == pytest.approx(20.0)
    assert factor([0.0], maximum=4.0) == 4.0


def test_a_relative_floor_counts_from_the_first_entropy() -> None:
    # floor = 0.5 * 0.8 = 0.4; 0.4 / (0.3 + 0.1) = 1
    assert factor([0.8, 0.3], floor=0.5, floor_unit="share_of_start") == pytest.approx(1.0)
