"""Which prompts are drawn when, who answers them with which noise, and what waits."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from safelab.contracts import Sampler
from safelab.training.components import Components
from safelab.training.rollouts import draw_prompts, next_rollout
from safelab.types import Greedy, PromptBatch, Rollout
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

    def within(self, policy: object) -> AbstractContextManager[None]:
        return nullcontext()

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
