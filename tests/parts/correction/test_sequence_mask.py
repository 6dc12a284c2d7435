"""Two responses with A = +1 and -1, by which the policy has moved: D = -0.176876 and 0.948560 nats per token."""

from dataclasses import replace

import pytest
import torch

from safelab.errors import ConfigError
from support.objectives import ADVANTAGE, MASK, NEW, OLD, component, golden_batch, objective, reduced, told


def dropped(threshold: float, advantage: tuple[float, float] = (1.0, -1.0)) -> list[bool]:
    correction = component("correction", "sequence_mask", threshold=threshold)
    return correction.dropped(NEW - OLD, torch.tensor(advantage), MASK).tolist()


@pytest.mark.parametrize(
    ("threshold", "by_token", "by_sequence", "which"),
    [(0.5, -0.668889, -0.557407, [False, True]), (1.0, -0.348889, -0.157407, [False, False])],
)
def test_worked_numbers(threshold: float, by_token: float, by_sequence: float, which: list[bool]) -> None:
    """With PPO's clip at 0.2, from an independent script; the zeros stay in both means."""
    assert dropped(threshold) == which
    answer = told(objective("ppo_clip"))
    left = replace(answer, loss_tok=answer.loss_tok.masked_fill(torch.tensor(which)[:, None], 0.0))
    assert float(reduced(left, golden_batch())) == pytest.approx(by_token, abs=1e-6)
    assert float(reduced(left, golden_batch(), "sequence_mean")) == pytest.approx(by_sequence, abs=1e-6)


def test_the_drift_is_the_mean_over_a_responses_own_tokens() -> None:
    """D is -0.176876, which no threshold is below, and 0.948560."""
    bad = (-1.0, -1.0)
    assert dropped(0.94855, bad) == [False, True]
    assert dropped(0.94857, bad) == [False, False]
    assert dropped(0.0, bad) == [False, True]


def test_only_bad_responses_go_and_one_without_advantage_stays() -> None:
    assert dropped(0.0) == [False, True]
    assert dropped(0.0, (-1.0, 1.0)) == [False, False]  # the first has become likelier, the second is a good one
    assert dropped(0.0, (0.0, 0.0)) == [False, False]
    assert dropped(0.0, (1.0, -1e-30)) == [False, True]


def test_at_the_samplers_policy_nothing_goes() -> None:
    correction = component("correction", "sequence_mask", threshold=0.0)
    assert not correction.dropped(OLD - OLD, -ADVANTAGE.sum(dim=1).abs(), MASK).any()


def test_it_is_no_weight() -> None:
    assert component("correction", "sequence_mask").weigh(NEW - OLD, MASK) is None


def test_neither_padding_nor_length_has_influence() -> None:
    correction = component("correction", "sequence_mask")
    spoilt = (NEW - OLD).masked_fill(~MASK, torch.nan)
    assert correction.dropped(spoilt, ADVANTAGE[:, 0], MASK).tolist() == [False, True]
    for length in (1, 100):
        far = torch.full((1, length), -0.6)
        assert correction.dropped(far, torch.tensor([-1.0]), torch.ones_like(far) > 0).tolist() == [True]
        assert correction.dropped(far / 2, torch.tensor([-1.0]), torch.ones_like(far) > 0).tolist() == [False]


@pytest.mark.parametrize(("extreme", "goes"), [(1e7, False), (-1e7, True), (-torch.inf, True), (torch.inf, False)])
def test_extreme_ratios_are_decided(extreme: float, goes: bool) -> None:
    found = component("correction", "sequence_mask").dropped(
        torch.tensor([[0.0, extreme, 0.0]]), torch.tensor([-1.0]), MASK[:1]
    )
    assert found.tolist() == [goes]


def test_a_threshold_below_0_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"correction\.threshold must be >= 0, got -0\.1"):
        component("correction", "sequence_mask", threshold=-0.1)


def test_the_yaml_is_trls_advice() -> None:
    assert component("correction", "sequence_mask").threshold == 0.5
