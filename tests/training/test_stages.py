"""What happens before the weights move: which prompts are drawn when, what is measured, what a failing reward says."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from safelab.contracts import Advantages, Sampler
from safelab.training.components import Components
from safelab.training.stages import (
    draw_prompts,
    make_batch,
    next_rollout,
    observe,
    score_tokens,
)
from safelab.types import Greedy, PromptBatch, Rollout, Scored
from support import toy


class Counting:
    """``data``: prompt number n is the text n."""

    def prompts(self, cursor: int, count: int) -> list[str]:
        return [str(cursor + number) for number in range(count)]


class Writer(Sampler):
    """``rollout``: responses of random tokens, so that what it wrote tells its noise."""

    def __init__(self, batch_size: int = 4, samples_per_prompt: int = 1, staleness: int = 0) -> None:
        self.batch_size, self.samples_per_prompt, self.staleness = batch_size, samples_per_prompt, staleness

    def sample(self, policy: object, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        ids = torch.tensor([[seed // toy.VOCABULARY**column % toy.VOCABULARY for column in range(4)] for seed in seeds])
        return toy.rollout([4] * len(ids), prompts=prompts, ids=ids)

    def greedy(self, policy: object, prompts: PromptBatch) -> Greedy:
        raise AssertionError("nobody asks for it")


def encoding(**changes) -> SimpleNamespace:
    """The toy policy, which takes a prompt's number as its last token."""

    def encode(texts: Sequence[str], groups: Sequence[int]) -> PromptBatch:
        ids = torch.tensor([[0, int(text) % toy.VOCABULARY] for text in texts])
        return PromptBatch(
            texts=tuple(texts), ids=ids, mask=torch.ones_like(ids, dtype=torch.bool), group_seq=torch.tensor(groups)
        )

    return SimpleNamespace(**{**vars(toy.policy()), "encode": encode, **changes})


def writing(**sizes: int) -> Components:
    return toy.parts(rollout=Writer(**sizes), data=Counting(), policy=encoding())


def test_each_prompt_is_drawn_as_often_as_it_is_answered() -> None:
    drawn = draw_prompts(writing(batch_size=6, samples_per_prompt=3), cursor=5)
    assert drawn.texts == ("5", "5", "5", "6", "6", "6")
    assert drawn.group_seq.tolist() == [5, 5, 5, 6, 6, 6]


def written(updates: int, **sizes: int) -> tuple[list[Rollout], list[tuple[int, int]]]:
    """The rollouts of so many updates, and after each how many wait and where the prompts are."""
    parts = writing(**sizes)
    state, rollouts, after = toy.state(parts), [], []
    for update in range(updates):
        state = replace(state, counters=state.counters.model_copy(update={"update": update}))
        state, rollout = next_rollout(parts, state)
        rollouts.append(rollout)
        after.append((len(state.pending), state.counters.cursor))
    return rollouts, after


def test_a_fresh_rollout_waits_for_nothing() -> None:
    rollouts, after = written(3)
    assert [rollout.prompts.texts[0] for rollout in rollouts] == ["0", "4", "8"]
    assert after == [(0, 4), (0, 8), (0, 12)]


@pytest.mark.parametrize("staleness", [1, 2])
def test_a_stale_run_meets_the_same_prompts_and_noise_in_the_same_order(staleness: int) -> None:
    fresh, _ = written(5)
    stale, after = written(5, staleness=staleness)
    # The first update writes staleness + 1 rollouts of four prompts, each later one another.
    assert after == [(staleness, 4 * (staleness + 1 + update)) for update in range(5)]
    for late, now in zip(stale, fresh, strict=True):
        assert late.prompts.texts == now.prompts.texts
        assert torch.equal(late.ids, now.ids)
    assert len({str(rollout.ids.tolist()) for rollout in fresh}) == 5, "each update has noise of its own"


def test_no_state_is_edited() -> None:
    parts = writing(staleness=1)
    state = toy.state(parts)
    next_rollout(parts, state)
    assert (state.pending, state.counters.cursor) == ((), 0)


def test_a_stale_rollout_keeps_the_log_probabilities_of_its_writer() -> None:
    parts = writing(staleness=1)
    state, _ = next_rollout(parts, toy.state(parts))
    (waiting,) = state.pending
    writer = [
        toy.log_softmax(parts.policy.module, before)[token] for _, _, before, token in toy.tokens(waiting)
    ]  # of the weights as they are still
    parts.policy.module.table.data.zero_()
    _, rollout = next_rollout(parts, replace(state, counters=state.counters.model_copy(update={"update": 1})))
    assert rollout is waiting
    torch.testing.assert_close(rollout.logp_rollout_tok[rollout.mask].tolist(), writer, atol=1e-12, rtol=0)


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


def test_what_the_writer_said_is_not_overwritten() -> None:
    parts = toy.parts()
    told = toy.noise(3, 4, seed=60)
    found = scored(parts, toy.rollout(logp_rollout_tok=told))
    assert torch.equal(found.logp_rollout_tok, told)
    assert not torch.equal(found.logp_old_tok, told)


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
