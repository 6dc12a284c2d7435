import pytest

from support.controllers import part, signals


def phase_after(rewards: list[float]) -> tuple[str, float]:
    detector = part("phase", "reward_trend")
    state = detector.init()
    for reward in rewards:
        state = detector.step(state, signals(reward=reward), 0.0)
    return detector.phase(state)


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([], ("warmup", 1.5)),
        ([0.5] * 49, ("warmup", 1.5)),
        ([0.5] * 50, ("plateau", 0.8)),
        ([0.8] * 50, ("converged", 1.0)),
        ([0.7, 0.9] * 25, ("plateau", 0.8)),
        ([0.5] * 50 + [0.52] * 50, ("climbing", 1.2)),
        ([0.5] * 50 + [0.505] * 50, ("plateau", 0.8)),
        # Between one and two windows the old mean is the recent one: nothing can be climbing.
        ([0.1] * 50 + [0.9] * 49, ("plateau", 0.8)),
        ([9.0] * 500 + [0.5] * 50 + [0.6] * 50, ("climbing", 1.2)),
    ],
)
def test_phases(rewards: list[float], expected: tuple[str, float]) -> None:
    assert phase_after(rewards) == expected
