import pytest

from safelab.options import restored
from support.controllers import part, signals


def test_first_two_rewards_by_hand() -> None:
    pid = part("threshold", "pid")
    state = pid.step(pid.init(), signals(reward=0.4), 0.0)
    assert pid.threshold(state, 1.0) == pytest.approx(0.3)
    # R: 0.4 -> 0.405; v = 0.005; e = 0.004; output = (0.3 + 0.01 + 0.05) e = 0.00144
    state = pid.step(state, signals(reward=0.5), 0.0)
    assert pid.threshold(state, 1.0) == pytest.approx(0.30144, abs=1e-12)


def test_the_threshold_stays_between_floor_and_ceiling() -> None:
    pid = part("threshold", "pid")
    assert pid.threshold(pid.init(), 100.0) == 0.6
    assert pid.threshold(pid.init(), 0.001) == 0.1


def test_the_integral_does_not_wind_up() -> None:
    pid = part("threshold", "pid")
    state = pid.init()
    for _ in range(3000):
        state = pid.step(state, signals(reward=0.5), 0.0)
    # Flat reward: error -0.001 a step; the integral stops at -1, so the threshold stops at 0.3 - 0.01 - 0.0003.
    assert state.pid.integral == -1.0
    assert pid.threshold(state, 1.0) == pytest.approx(0.2897, abs=1e-9)


def test_state_survives_json_mid_flight() -> None:
    pid = part("threshold", "pid")
    state = pid.init()
    for reward in (0.31, 0.37, 0.333, 0.41):
        state = pid.step(state, signals(reward=reward), 0.0)
    assert restored(pid.init(), state.model_dump(mode="json")) == state
