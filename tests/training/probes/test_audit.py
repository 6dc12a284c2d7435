"""The audit catches what it must: SAFE's released penalty, and k1 in the loss; and passes what acts."""

import math
from pathlib import Path

import pytest
import torch

from safelab.training.probes.audit import Audit, audit, sizes
from support.runs import algorithms, parts_of, small

ALGORITHMS = algorithms(offline=False)
DONE: dict[tuple[str, ...], Audit] = {}


def audited(tmp_path: Path, *overrides: str) -> Audit:
    """One audit of each configuration, whatever tests ask of it."""
    if overrides not in DONE:
        parts = parts_of(small(tmp_path, "rollout.batch_size=32", *overrides))
        DONE[overrides] = audit(parts, target_kl=1.0, batches=32, say=lambda text: None)
    return DONE[overrides]


def penalty(result: Audit):
    return next(term for term in result.terms if term.term.startswith("kl penalty"))


@pytest.mark.parametrize("algorithm", ["safe_released", "asymmetric_released"])
def test_the_released_penalty_has_a_value_and_no_gradient(algorithm: str, tmp_path: Path) -> None:
    result = audited(tmp_path, f"algorithm={algorithm}")
    assert penalty(result).value > 0
    assert penalty(result).policy_grad_norm == 0.0
    assert not result.passed


def test_k1_in_the_loss_has_a_gradient_and_it_is_noise(tmp_path: Path) -> None:
    result = audited(tmp_path, "algorithm=ppo_released")
    assert penalty(result).policy_grad_norm > 0
    assert abs(penalty(result).t) < 3
    assert not result.passed


def test_a_clear_answer_ends_it_early(tmp_path: Path) -> None:
    for overrides, most in ((["algorithm=safe"], 16), (["algorithm=safe_released"], 2)):
        said: list[str] = []
        audit(parts_of(small(tmp_path, *overrides)), target_kl=1.0, batches=32, say=said.append)
        assert 2 <= sum("rollout" in line for line in said) <= most


def test_few_rollouts_say_yes_or_nothing(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "rollout.batch_size=8", "algorithm=ppo_released"))
    result = audit(parts, target_kl=1.0, batches=4, say=lambda text: None)
    assert abs(penalty(result).t) < 3
    assert penalty(result).acts is None
    assert "too few to say whether it does, take --batches of at least 32" in penalty(result).note
    assert not result.passed


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm=safe"],
        ["algorithm=ppo"],
        ["algorithm=ppo_matched"],
        ["algorithm=asymmetric_kl"],
        ["algorithm=dvpo"],
        ["algorithm=dvpo", "advantage.mode=whitened_gae"],
        ["algorithm=ppo_matched", "controller/route=loss_k2"],
        ["algorithm=ppo_matched", "controller/route=ratio_k1"],
    ],
)
def test_a_penalty_that_acts_passes(overrides: list[str], tmp_path: Path) -> None:
    result = audited(tmp_path, *overrides)
    assert result.kl == pytest.approx(1.0, abs=0.05)
    assert penalty(result).t > 3
    assert result.passed


def test_a_value_loss_that_moves_the_policy_is_told(tmp_path: Path) -> None:
    value = next(term for term in audited(tmp_path, "algorithm=safe_released").terms if term.term == "value")
    assert value.policy_grad_norm > 0
    assert "detach" in value.note
    detached = next(term for term in audited(tmp_path, "algorithm=safe").terms if term.term == "value")
    assert detached.policy_grad_norm == 0.0


@pytest.mark.parametrize(
    "algorithm", sorted(set(ALGORITHMS) - {"safe_released", "asymmetric_released", "ppo_released", "adarl"})
)
def test_every_other_preset_passes(algorithm: str, tmp_path: Path) -> None:
    result = audited(tmp_path, f"algorithm={algorithm}")
    assert result.passed, [term for term in result.terms if not term.acts]
    assert {"policy"} <= {term.term for term in result.terms}


@pytest.mark.parametrize("overrides", [("algorithm=ppo_matched", "policy/adapter=lora"), ("algorithm=adarl",)])
def test_lora_is_moved_too(overrides: tuple[str, ...], tmp_path: Path) -> None:
    """Its B is zero at the start, so that its own deviation would never move it."""
    parts = parts_of(small(tmp_path, "rollout.batch_size=32", *overrides))
    result = audit(parts, target_kl=0.1, batches=4, say=lambda text: None)  # its frozen head caps the KL at 0.23
    assert result.kl == pytest.approx(0.1, rel=0.05)
    assert penalty(result).policy_grad_norm > 0
    assert all(term.acts for term in result.terms if term.term != penalty(result).term)


def test_by_what_a_tensor_is_moved() -> None:
    a, b, gain = torch.tensor([[1.0, 3.0]]), torch.zeros(2, 1), torch.ones(3)
    assert [float(size) for size in sizes([a, b, gain])] == pytest.approx([math.sqrt(2), math.sqrt(2), 0.0])
