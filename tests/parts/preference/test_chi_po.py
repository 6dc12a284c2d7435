import math

import pytest
import torch

from safelab.plugins import build_option
from support.models import context
from support.pair_batches import pair_batch

# One pair, the chosen answer first: its tokens have .60 .30 .85 under the policy and .45 .25 .80 under the reference;
# the rejected one's .30 .02 and .35 .20.
POLICY = torch.tensor([[0.6 * 0.3 * 0.85, 0.3 * 0.02]], dtype=torch.float64).log()
REFERENCE = [[math.log(0.45 * 0.25 * 0.8), math.log(0.35 * 0.2)]]


def chi_po(beta: float):
    return build_option("preference", {"name": "chi_po", "beta": beta, "reward_max": 2.0}, context())


def test_by_worked_numbers() -> None:
    value = chi_po(0.1).loss_pair(POLICY, pair_batch(REFERENCE))
    assert value.item() == pytest.approx(0.489303, abs=1e-6)


def test_beyond_the_clip_a_pair_has_a_loss_and_no_gradient() -> None:
    preference, batch = chi_po(5.0), pair_batch(REFERENCE)
    logp = POLICY.clone().requires_grad_()
    value = preference.loss_pair(logp, batch)
    value.sum().backward()
    assert value.item() == pytest.approx(0.0181499, abs=1e-6)
    assert torch.equal(logp.grad, torch.zeros_like(logp))
    assert preference.clipped_pair(POLICY - batch.logp_ref).tolist() == [True]


def test_at_the_reference_its_gradient_is_twice_dpos() -> None:
    """phi'(z) dz = z + 1 = 2 at z = 1: the same beta is another strength than DPO's."""
    dpo = build_option("preference", {"name": "dpo", "beta": 0.1, "label_smoothing": 0.0}, context())
    batch = pair_batch(REFERENCE)
    gradients = []
    for preference in (chi_po(0.1), dpo):
        logp = batch.logp_ref.clone().requires_grad_()
        preference.loss_pair(logp, batch).sum().backward()
        gradients.append(logp.grad)
    torch.testing.assert_close(gradients[0], 2 * gradients[1])
