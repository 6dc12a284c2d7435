"""What is measured before the weights move, and what is made of it."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from safelab.contracts import Advantages
from safelab.errors import ConfigError
from safelab.training.components import Components
from safelab.training.stages import make_batch, observe, score_tokens
from safelab.types import Rollout, Scored
from support import toy


def scored(parts: Components, rollout: Rollout | None = None) -> Scored:
    return score_tokens(parts, rollout or toy.rollout(), torch.tensor([1.0, 2.0, 6.0]), None)


@pytest.mark.parametrize("micro", [None, 1, 2])
def test_every_token_is_measured_under_policy_and_reference(micro: int | None) -> None:
    parts = toy.parts(optimizer=SimpleNamespace(micro_batch_size=micro, micro_batch_tokens=None))
    found = scored(parts)
    for row, column, before, token in toy.tokens(found.rollout):
        now = toy.log_softmax(parts.policy.module, before)
        ref = toy.log_softmax(parts.policy.reference, before)
        expected = {
            "logp_old_tok": now[token],
            "logp_rollout_tok": now[token],
            "logp_ref_tok": ref[token],
            "entropy_old_tok": -(np.exp(now) * now).sum(),
            "kl_exact_tok": (np.exp(now) * (now - ref)).sum(),
        }
        for name, value in expected.items():
            assert getattr(found, name)[row, column].item() == pytest.approx(value, abs=1e-12), name
        heads = parts.critic.module.weight.detach().numpy() @ parts.policy.module.table.detach().numpy()[before]
        assert found.heads_old[row, column].tolist() == pytest.approx(heads.tolist(), abs=1e-12)
    assert not any(getattr(found, name).requires_grad for name in ("logp_old_tok", "heads_old", "kl_exact_tok"))
    assert found.logp_vocab_old is None


def test_whole_distributions_are_kept_for_those_who_need_them() -> None:
    parts = toy.parts(objective=toy.objective(needs=frozenset({"full_logits"})))
    found = scored(parts)
    for row, column, before, _ in toy.tokens(found.rollout):
        expected = toy.log_softmax(parts.policy.module, before)
        np.testing.assert_allclose(found.logp_vocab_old[row, column].numpy(), expected, atol=1e-12)


def test_the_gradient_in_the_logits_is_measured_for_an_advantage_that_needs_it_and_reaches_it() -> None:
    seen = []

    def estimate(evidence) -> Advantages:
        seen.append(evidence)
        told = {"told": torch.tensor(2.0)}
        return Advantages(advantage_tok=torch.ones(3, 4, dtype=torch.float64), returns=None, metrics=told)

    advantage = SimpleNamespace(needs=frozenset({"logit_gradient"}), estimate=estimate)
    parts = toy.parts(advantage=advantage, optimizer=SimpleNamespace(micro_batch_size=2, micro_batch_tokens=None))
    parts.policy.model.logit_gradient = lambda hidden, ids, mask: 2.0 * mask * (ids + 1)
    found = scored(parts)
    rollout = found.rollout
    assert torch.equal(found.logit_gradient_tok, 2.0 * rollout.mask * (rollout.ids + 1))
    batch = make_batch(parts, found, torch.zeros(3, dtype=torch.float64), toy.plan())
    assert seen[0].logit_gradient_tok is found.logit_gradient_tok
    assert batch.rows(torch.tensor([1])).advantage_metrics == {"told": 2.0}
    assert scored(toy.parts()).logit_gradient_tok is None


def test_what_the_writer_said_is_not_overwritten() -> None:
    parts = toy.parts()
    told = toy.noise(3, 4, seed=60)
    found = scored(parts, toy.rollout(logp_rollout_tok=told))
    assert torch.equal(found.logp_rollout_tok, told)
    assert not torch.equal(found.logp_old_tok, told)


def test_distributions_of_a_sampler_that_is_gone_are_not_made_up() -> None:
    needs = frozenset({"full_logits", "anchor_logits"})
    for anchor, refused in (("rollout", True), ("old", False)):
        parts = toy.parts(objective=toy.objective(needs=needs, anchor=anchor, name="mine"))
        scored(parts)  # a fresh rollout's sampler is the policy
        with (
            pytest.raises(ConfigError, match="must be old with objective=mine and a rollout")
            if refused
            else nullcontext()
        ):
            scored(parts, toy.rollout(logp_rollout_tok=toy.noise(3, 4, seed=60)))


def test_signals_are_means_over_tokens_and_sums_over_responses() -> None:
    found = scored(toy.parts())
    signals = observe(found)
    per_token, per_response, exact, entropy = [], [0.0] * 3, [], []
    for row, column, *_ in toy.tokens(found.rollout):
        log_ratio = found.logp_old_tok[row, column].item() - found.logp_ref_tok[row, column].item()
        per_token.append(log_ratio)
        per_response[row] += log_ratio
        exact.append(found.kl_exact_tok[row, column].item())
        entropy.append(found.entropy_old_tok[row, column].item())
    assert signals.reward_mean == 3.0
    assert signals.kl_ref_token_k1 == pytest.approx(sum(per_token) / 7, abs=1e-12)
    assert signals.kl_ref_seq_k1 == pytest.approx(sum(per_response) / 3, abs=1e-12)
    assert signals.kl_ref_token_exact == pytest.approx(sum(exact) / 7, abs=1e-12)
    assert signals.entropy_token == pytest.approx(sum(entropy) / 7, abs=1e-12)
    assert signals.n_sequences == 3


@pytest.mark.parametrize(("route", "coef"), [("reward", 0.4), ("loss_k2", 0.0)])
def test_only_the_reward_route_charges_the_kl_before_the_advantage(route: str, coef: float) -> None:
    seen = []

    def estimate(evidence) -> Advantages:
        seen.append(evidence)
        return Advantages(advantage_tok=torch.ones(3, 4, dtype=torch.float64), returns=None)

    parts = toy.parts(controller=toy.controller(route), advantage=SimpleNamespace(needs=frozenset(), estimate=estimate))
    found = scored(parts)
    shaped = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    batch = make_batch(parts, found, shaped, toy.plan(0.4))
    charged = [0.0] * 3
    for row, column, *_ in toy.tokens(found.rollout):
        charged[row] -= coef * (found.logp_old_tok[row, column].item() - found.logp_ref_tok[row, column].item())
    expected = [reward + charge for reward, charge in zip(shaped.tolist(), charged, strict=True)]
    assert seen[0].return_seq.tolist() == pytest.approx(expected, abs=1e-12)
    # Where the advantage gives no returns, the critic has nothing new to learn: its own values stand.
    assert torch.equal(batch.returns, found.heads_old.mean(dim=-1))
    assert torch.equal(batch.value_mask, found.rollout.mask)
