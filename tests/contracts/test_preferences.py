"""What holds for every loss on pairs, with the numbers that ship."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from safelab.contracts import Preference
from safelab.plugins import build_option
from safelab.types import PairBatch
from support.models import context
from support.pair_batches import pair_batch

CONF = Path(__file__).parents[2] / "conf" / "preference"
# (``trace`` turns labels round, which these are about, and reads pairs that are sorted beforehand.)
NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem not in ("none", "trace"))
MARGIN_LOSSES = [name for name in NAMES if name != "var"]

REFERENCE = [[-3.0, -2.0], [-8.0, -9.5], [-1.0, -1.0]]
POLICY = torch.tensor([[-2.5, -2.2], [-8.3, -8.0], [-1.4, -3.0]], dtype=torch.float64)
REWARD = [[0.9, 0.2], [0.4, 0.6], [0.5, 0.5]]


def loss(name: str, **changes: Any) -> Preference:
    option = {**yaml.safe_load((CONF / f"{name}.yaml").read_text()), **changes}
    built: Preference = build_option("preference", option, context())
    return built


def weighed(preference: Preference, batch: PairBatch) -> PairBatch:
    return replace(batch, weight=preference.weigh(batch))


def test_there_are_losses() -> None:
    assert {"dpo", "ipo", "chi_po", "var"} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_chosen_answer_becomes_likelier(name: str) -> None:
    preference = loss(name)
    batch = weighed(preference, pair_batch(REFERENCE, REWARD))
    logp = batch.logp_ref.clone().requires_grad_()
    preference.loss_pair(logp, batch).sum().backward()
    assert (logp.grad[:, 0] < 0).all()


@pytest.mark.parametrize("name", MARGIN_LOSSES)
def test_only_the_difference_counts(name: str) -> None:
    """Equal answers move nothing: what one side gains the other loses."""
    preference = loss(name)
    batch = pair_batch([[-3.0, -3.0]])
    logp = torch.tensor([[-2.5, -2.5]], dtype=torch.float64).requires_grad_()
    preference.loss_pair(logp, batch).sum().backward()
    assert logp.grad.sum().abs() < 1e-12
    shared = logp.detach()[:, :1].clone().requires_grad_()
    preference.loss_pair(shared.expand(-1, 2), batch).sum().backward()
    assert shared.grad.abs().max() < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_pairs_does_not_matter(name: str) -> None:
    preference = loss(name)
    batch = weighed(preference, pair_batch(REFERENCE, REWARD))
    turned = weighed(preference, pair_batch(REFERENCE[::-1], REWARD[::-1]))
    own = preference.loss_pair(POLICY, batch)
    torch.testing.assert_close(preference.loss_pair(POLICY.flip(0), turned), own.flip(0))


@pytest.mark.parametrize("name", NAMES)
def test_pieces_add_up_to_the_whole(name: str) -> None:
    preference = loss(name, **({"normalise_over": "batch"} if name == "var" else {}))
    batch = weighed(preference, pair_batch(REFERENCE, REWARD))
    own = preference.loss_pair(POLICY, batch)
    parts = [preference.loss_pair(POLICY[rows], batch.rows(rows)) for rows in (slice(0, 1), slice(1, 3))]
    torch.testing.assert_close(torch.cat(parts), own)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shift", [-50.0, 50.0])
def test_extreme_ratios_stay_numbers(name: str, shift: float) -> None:
    preference = loss(name)
    batch = weighed(preference, pair_batch(REFERENCE, REWARD))
    for signs in ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0)):
        logp = (batch.logp_ref + shift * torch.tensor(signs)).float().requires_grad_()
        value = preference.loss_pair(logp, batch)
        value.sum().backward()
        assert torch.isfinite(value).all()
        assert torch.isfinite(logp.grad).all()
        assert torch.isfinite(preference.implied_reward(logp - batch.logp_ref)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_implied_reward_rises_with_the_log_ratio_and_has_no_margin_at_the_reference(name: str) -> None:
    implied = loss(name).implied_reward(torch.tensor([[-1.0, 1.0], [0.0, 0.0]], dtype=torch.float64))
    assert implied[0, 0] < implied[0, 1]
    assert implied[1, 0] == implied[1, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_clipped_pair_has_no_gradient_and_every_other_has(name: str) -> None:
    preference = loss(name)
    reference = [[0.0, 0.0]] * 5
    batch = weighed(preference, pair_batch(reference, [[0.9, 0.1]] * 5))
    log_ratio = torch.tensor([[0.1, 0.0], [2.0, -2.0], [4.6, 0.0], [9.0, 0.0], [0.0, 6.0]], dtype=torch.float64)
    logp = log_ratio.clone().requires_grad_()
    preference.loss_pair(logp, batch).sum().backward()
    stopped = (logp.grad == 0).all(dim=1)
    assert stopped.tolist() == preference.clipped_pair(log_ratio).tolist()
    assert stopped.any().item() == (name == "chi_po")


@pytest.mark.parametrize("name", ["dpo", "chi_po"])
def test_at_the_reference_a_logistic_loss_is_log_2(name: str) -> None:
    batch = pair_batch(REFERENCE)
    value = loss(name).loss_pair(batch.logp_ref, batch)
    torch.testing.assert_close(value, torch.full_like(value, math.log(2.0)))
