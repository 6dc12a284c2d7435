import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from safelab.maths.feedback import PidOptions, PidState, clip, ema, pid_init, pid_step, ziegler_coef

GAINS = PidOptions(kp=0.3, ki=0.01, kd=0.05, integral_limit=1.0)


def test_pid_by_hand_from_a_state_in_flight():
    after = pid_step(GAINS, PidState(integral=0.5, previous_error=0.2, output=9.0), 0.1)
    # I = .6; .3 * .1 + .01 * .6 + .05 * (.1 - .2) = .03 + .006 - .005
    assert after.integral == pytest.approx(0.6, abs=1e-12)
    assert after.output == pytest.approx(0.031, abs=1e-12)
    assert after.previous_error == 0.1


def test_first_derivative_is_taken_from_zero():
    # .3 * -.001 + .01 * -.001 + .05 * -.001
    assert pid_step(GAINS, pid_init(), -0.001).output == pytest.approx(-0.00036, abs=1e-12)


def test_a_flat_reward_saturates_the_integral_after_a_thousand_steps():
    state = pid_init()
    for _ in range(1500):
        state = pid_step(GAINS, state, -0.001)
    assert state.integral == -1
    # -.0003 - .01 + 0
    assert state.output == pytest.approx(-0.0103, abs=1e-9)


def test_integral_does_not_wind_up():
    state = PidState(integral=1.0)
    for _ in range(100):
        state = pid_step(GAINS, state, 5.0)
    # One step back counts at once.
    assert pid_step(GAINS, state, -0.4).integral == pytest.approx(0.6, abs=1e-12)


@given(st.lists(st.floats(-10, 10), max_size=20))
def test_integral_stays_inside_its_bounds_and_a_saved_state_goes_on(errors):
    state = pid_init()
    for error in errors:
        state = PidState.model_validate_json(pid_step(GAINS, state, error).model_dump_json())
        assert -1 <= state.integral <= 1
    straight = pid_init()
    for error in errors:
        straight = pid_step(GAINS, straight, error)
    assert straight == state


def test_options_are_validated():
    with pytest.raises(ValidationError, match="integral_limit"):
        PidOptions(kp=0.3, ki=0.01, kd=0.05, integral_limit=0.0)


def test_ema_by_hand():
    assert ema(0.0, 0.5, 0.9) == pytest.approx(0.05, abs=1e-12)
    assert ema(2.0, 5.0, 1.0) == 2
    assert ema(2.0, 5.0, 0.0) == 5


@pytest.mark.parametrize(
    ("kl", "expected"), [(9.0, 0.201024), (12.0, 0.201024), (6.0, 0.2), (3.0, 0.198976), (0.0, 0.198976)]
)
def test_ziegler_by_worked_numbers(kl, expected):
    assert ziegler_coef(0.2, kl, target=6.0, n=256, horizon=10_000.0) == pytest.approx(expected, abs=1e-9)


def test_ziegler_inside_the_clip_is_proportional():
    # error .05, so .2 (1 + .05 * 100 / 1000)
    assert ziegler_coef(0.2, 6.3, target=6.0, n=100, horizon=1000.0) == pytest.approx(0.201, abs=1e-9)


def test_a_token_kl_against_a_sequence_target_always_falls():
    # The unit trap: 0.3 nats per token is 10 per response of 32, yet it reads as far below 6.
    assert ziegler_coef(0.2, 0.3, target=6.0, n=256, horizon=10_000.0) < 0.2


def test_clip_by_hand():
    assert [clip(x, -1.0, 2.0) for x in (-3.0, 0.5, 7.0)] == [-1, 0.5, 2]
