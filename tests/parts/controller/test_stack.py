"""The whole controller: worked numbers, the released traces, and a mid-flight state that survives a checkpoint."""

import csv
import os
from pathlib import Path

import pytest

from safelab.errors import ConfigError
from safelab.options import restored
from safelab.types import Plan, Signals
from support.controllers import signals, stack

STACKS = (
    "none",
    "fixed_kl",
    "reward_kl",
    "released_kl",
    "adaptive_kl",
    "adaptive_kl_token",
    "asymmetric",
    "asymmetric_released",
    "safe",
    "safe_released",
)
# Recorded from the code of SAFE's author; another folder may be named to replay its traces.
TRACES = Path(os.environ.get("SAFELAB_TRACES") or Path(__file__).parents[2] / "data" / "traces")


def plan_at(controller: object, steps: int, **heard: float) -> Plan:
    state = controller.init()
    for _ in range(steps):
        state = controller.step(state, signals(n_sequences=32, kl_ref_seq_k1=heard["kl"] * 20, **heard))
    return controller.plan(state)


def bare_safe(**changes: object) -> object:
    """``safe`` with a fixed threshold of 0.3 and nothing else that moves."""
    return stack("safe", threshold={"name": "fixed", "base": 0.3}, phase={"name": "none"}, **changes)


def test_worked_penalties_of_safe() -> None:
    # 0.1 (0.5 - 0.3)^2 max(0.5, 2 / (H + 0.1)): at H = 1 and, where the gate's minimum holds, at H = 5.
    assert plan_at(bare_safe(), 1, kl=0.5, entropy=1.0).penalty == pytest.approx(0.00727273, abs=1e-8)
    assert plan_at(bare_safe(), 1, kl=0.5, entropy=5.0).penalty == pytest.approx(0.002, abs=1e-12)


def test_the_coefficient_is_the_slope_of_the_penalty() -> None:
    step = 1e-6
    low, mid, high = (plan_at(bare_safe(), 1, kl=0.5 + d, entropy=1.0) for d in (-step, 0.0, step))
    assert mid.kl_coef == pytest.approx((high.penalty - low.penalty) / (2 * step), rel=1e-6)


def test_through_the_short_average_only_a_tenth_of_the_slope_arrives() -> None:
    # A constant KL brings the average to it: 0.1 * 2 * 0.1 * (0.5 - 0.3) = 0.004 times the gate 2 / 1.1.
    smoothed = plan_at(bare_safe(kl_input="short_average", momentum={"name": "none"}), 400, kl=0.5, entropy=1.0)
    assert smoothed.kl_coef == pytest.approx(0.004 * 2 / 1.1, rel=1e-6)


@pytest.mark.parametrize("name", ["safe", "asymmetric"])
def test_below_the_threshold_nothing_acts(name: str) -> None:
    plan = plan_at(stack(name), 3, kl=0.05, entropy=1.0)
    assert (plan.penalty, plan.kl_coef, plan.active, plan.gate) == (0.0, 0.0, False, 1.0)


def test_the_fixed_penalty_acts_at_any_kl() -> None:
    plan = plan_at(stack("fixed_kl"), 1, kl=0.0, entropy=1.0)
    assert plan.kl_coef == 0.1


def test_k1_in_the_loss_is_refused_unless_studied() -> None:
    with pytest.raises(ConfigError, match="zero on-policy"):
        stack("fixed_kl", route={"name": "loss_k1"})
    assert stack("fixed_kl", route={"name": "loss_k1"}, allow_known_bad=True).route.name == "loss_k1"


def test_a_missing_exact_kl_is_refused() -> None:
    with pytest.raises(ConfigError, match="kl_signal"):
        stack("safe").step(stack("safe").init(), Signals(reward_mean=0.1, kl_ref_token_k1=0.1, entropy_token=1.0))


@pytest.mark.parametrize("name", STACKS)
def test_a_mid_flight_state_survives_json_and_goes_on_alike(name: str) -> None:
    controller = stack(name)
    heard = [
        signals(reward=0.3 + 0.01 * i, kl=0.013 * i, entropy=2.0 - 0.02 * i, n_sequences=32, kl_ref_seq_k1=0.2 * i)
        for i in range(70)
    ]
    state = controller.init()
    for signal in heard[:60]:
        state = controller.step(state, signal)
    again = restored(controller.init(), state.model_dump(mode="json"))
    assert again == state
    for signal in heard[60:]:
        state, again = controller.step(state, signal), controller.step(again, signal)
    assert controller.plan(again) == controller.plan(state)


@pytest.mark.parametrize("name", STACKS)
def test_plan_and_step_are_pure(name: str) -> None:
    controller = stack(name)
    state = controller.step(controller.init(), signals(n_sequences=32, kl_ref_seq_k1=1.0))
    before = state.model_dump()
    assert controller.plan(state) == controller.plan(state)
    controller.step(state, signals(kl=3.0, n_sequences=32, kl_ref_seq_k1=1.0))
    assert state.model_dump() == before


def test_first_steps_of_the_released_controller_by_hand() -> None:
    controller = stack("safe_released")
    state = controller.step(controller.init(), signals(reward=0.4, kl=0.02, entropy=2.5))
    plan = controller.plan(state)
    assert (plan.threshold, plan.kl_short, plan.kl_long) == (
        pytest.approx(0.45),
        pytest.approx(0.002),
        pytest.approx(0.0002),
    )
    state = controller.step(state, signals(reward=0.5, kl=0.04, entropy=2.5))
    # (0.3 + 0.36 * 0.004) * 1.5; 0.9 * 0.002 + 0.1 * 0.04
    assert controller.plan(state).threshold == pytest.approx(0.45216, abs=1e-12)
    assert controller.plan(state).kl_short == pytest.approx(0.0058, abs=1e-12)


@pytest.mark.parametrize("name", ["safe_released", "asymmetric_released"])
@pytest.mark.parametrize("trace", ["healthy", "collapse"])
def test_recorded_traces_replay(name: str, trace: str) -> None:
    controller = stack(name)
    state = controller.init()
    heard = list(csv.DictReader((TRACES / f"{trace}.csv").open()))
    answers = list(csv.DictReader((TRACES / f"{trace}.{name}.csv").open()))
    assert len(heard) == len(answers) > 100
    for row, answer in zip(heard, answers, strict=True):
        state = controller.step(state, Signals(**{key: float(value) for key, value in row.items()}))
        plan = controller.plan(state)
        for key, expected in answer.items():
            got = getattr(plan, key)
            if key == "phase":
                assert got == expected
            else:
                assert float(got) == pytest.approx(float(expected), abs=1e-9), key
