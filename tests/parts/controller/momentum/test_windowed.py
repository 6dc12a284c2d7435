import pytest

from safelab.options import restored
from support.controllers import part, signals


def fed(kls: list[float]) -> tuple[object, object]:
    momentum = part("momentum", "windowed", lag=2, divisor=2)
    state = momentum.init()
    for kl in kls:
        state = momentum.step(state, signals(kl=kl), kl)
    return momentum, state


def test_zero_until_the_window_is_full() -> None:
    momentum, state = fed([0.1, 5.0])
    assert momentum.speed(state) == 0.0


def test_growth_by_hand() -> None:
    momentum, state = fed([9.0, 0.1, 0.2, 0.5])
    assert momentum.speed(state) == pytest.approx(0.2)
    assert momentum.term(state).value == pytest.approx(5.0 * 0.04)
    assert momentum.term(state).slope == pytest.approx(2 * 5.0 * 0.2 / 2)


def test_a_falling_kl_is_free() -> None:
    momentum, state = fed([0.5, 0.4, 0.1])
    assert momentum.speed(state) == pytest.approx(-0.2)
    assert (momentum.term(state).value, momentum.term(state).slope) == (0.0, 0.0)


def test_state_survives_json() -> None:
    momentum, state = fed([0.1, 0.2, 0.7])
    assert restored(momentum.init(), state.model_dump(mode="json")) == state


def test_released_preset_is_off_by_one() -> None:
    # A jump of 2 nats inside the released window of 50 costs 5 (2 / 50)^2 = 0.008.
    momentum = part("momentum", "windowed_released")
    state = momentum.init()
    for kl in [0.0] * 49 + [2.0]:
        state = momentum.step(state, signals(kl=kl), kl)
    assert momentum.term(state).value == pytest.approx(0.008)
