"""Dynamic sampling: which groups an update learns from, what is told of the others, and what it costs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from safelab.contracts import Reward
from safelab.maths.seeds import derive_seed
from safelab.results.replay.steps import replay, run_signals
from safelab.training import filling, rollouts
from safelab.training.clock import Clock
from safelab.training.components import Components
from safelab.training.filling import Filled, filled_batch, judged
from safelab.training.lifecycle.run import train
from safelab.training.loop import train_update
from safelab.training.state import TrainState, initial_state
from safelab.types import Judged
from support import toy
from support.runs import numbers, parts_of, run, small, trained

GROUP, SIZE = 4, 8
"""Responses to a prompt, and in a batch: two prompts."""


class Coin(Reward):
    """1 for a share of all texts, whatever they say, else 0."""

    def __init__(self, share: float) -> None:
        self.share = share

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        texts = zip(prompts, responses, strict=True)
        return [float(derive_seed(0, *text) % 1000 < 1000 * self.share) for text in texts]


def sampling(tmp_path: Path, most: int, share: float, *overrides: str) -> Components:
    """Parts of a run whose reward is a coin."""
    made = parts_of(small(tmp_path, "algorithm=dapo", f"rollout.dynamic_sampling={most}", *overrides))
    return replace(made, reward=Coin(share))


def filled(parts: Components, state: TrainState) -> tuple[TrainState, Filled, Judged]:
    """The batch of an update, and what it drew first."""
    state, rollout = rollouts.next_rollout(parts, state)
    first = judged(parts, rollout)
    return *filled_batch(parts, state, first, Clock(parts.policy.module)), first


def rows(batch: Judged) -> list[tuple[Any, ...]]:
    """Prompt, response, tokens, reward of each row, without padding."""
    rollout = batch.rollout
    tokens = [ids[mask].tolist() for ids, mask in zip(rollout.ids, rollout.mask, strict=True)]
    return [*zip(rollout.prompts.texts, rollout.responses, tokens, batch.reward_seq.tolist(), strict=True)]


@pytest.mark.parametrize("share", [0.05, 0.9])
def test_the_batch_is_the_first_groups_whose_rewards_differ_in_order(tmp_path: Path, share: float) -> None:
    """Against a plain loop over lists that writes twenty rollouts and takes what it needs."""
    parts = sampling(tmp_path, 20, share)
    _, found, _ = filled(parts, initial_state(parts))
    teaching, written = [], 0
    while len(teaching) < SIZE:
        prompts = rollouts.draw_prompts(parts, written * SIZE // GROUP)
        names = (0, "further", written) if written else (0,)
        whole = rows(judged(parts, rollouts.roll_out(parts, prompts, *names)))
        groups = [whole[row : row + GROUP] for row in range(0, SIZE, GROUP)]
        teaching += [row for group in groups if len({row[-1] for row in group}) == 2 for row in group]
        written += 1
    assert rows(found.batch) == teaching[:SIZE]
    assert found.metrics["rollout/further"] == written - 1
    assert written > 1
    assert found.metrics["rollout/filler_share"] == 0.0


def test_each_group_keeps_a_number_of_its_own(tmp_path: Path) -> None:
    parts = sampling(tmp_path, 20, 0.1)
    _, found, _ = filled(parts, initial_state(parts))
    numbered = found.batch.rollout.prompts.group_seq.tolist()
    assert numbered == [numbered[0]] * GROUP + [numbered[GROUP]] * GROUP
    assert numbered[0] < numbered[GROUP]


def test_where_no_group_teaches_the_first_fill_the_batch_and_the_row_says_so(tmp_path: Path) -> None:
    parts = sampling(tmp_path, 2, 0.0)
    state, found, first = filled(parts, initial_state(parts))
    assert rows(found.batch) == rows(first)
    assert found.metrics == {"rollout/further": 2, "rollout/equal_share": 1.0, "rollout/filler_share": 1.0}
    assert found.unread_episodes == 2 * SIZE
    assert state.counters.cursor == 3 * SIZE // GROUP


def test_a_batch_that_teaches_as_it_is_stays_as_it_is(tmp_path: Path) -> None:
    """And so every row is that of a run without dynamic sampling, but for its three metrics."""
    with_it, without = (sampling(tmp_path, most, 0.5, "rollout.samples_per_prompt=8") for most in (3, 0))
    drawn = filled(with_it, initial_state(with_it))
    assert drawn[1].batch is drawn[2]
    mine, theirs = (numbers([train_update(parts, initial_state(parts)).row])[0] for parts in (with_it, without))
    assert {name: value for name, value in mine.items() if not name.startswith("rollout/")} == theirs


def test_the_row_tells_of_the_prompts_first_drawn_and_counts_all_that_was_written(tmp_path: Path) -> None:
    parts = sampling(tmp_path, 20, 0.05)
    written = []
    for number in range(20):  # before the policy moves
        prompts = rollouts.draw_prompts(parts, number * SIZE // GROUP)
        written.append(judged(parts, rollouts.roll_out(parts, prompts, *((0, "further", number) if number else (0,)))))
    step, first = train_update(parts, initial_state(parts)), written[0]
    assert step.row["reward/mean"] == pytest.approx(first.reward_seq.mean().item())
    assert step.row["response/length_mean"] == pytest.approx(first.rollout.mask.sum().item() / SIZE)
    del written[1 + int(step.row["rollout/further"]) :]
    assert len(written) > 1
    assert step.state.counters.episodes == len(written) * SIZE
    assert step.state.counters.tokens == sum(int(each.rollout.mask.sum()) for each in written)


def test_groups_of_two_widths_by_hand() -> None:
    parts = toy.parts(policy=Encoding())
    narrow = Judged(
        rollout=toy.rollout((2, 1), logp_rollout_tok=torch.tensor([[-1.0, -2.0], [-3.0, 0.0]])),
        reward_seq=torch.tensor([0.0, 1.0]),
        gold_seq=torch.tensor([5.0, 6.0]),
    )
    wide = Judged(
        rollout=toy.rollout((1, 3, 5), logp_rollout_tok=-torch.ones(3, 5)),
        reward_seq=torch.tensor([1.0, 0.0, 0.0]),
        gold_seq=torch.tensor([7.0, 8.0, 9.0]),
    )
    both = filling.joined(parts, [narrow, filling.rows_of(wide, slice(0, 2))])
    assert both.rollout.mask.tolist() == [[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert both.rollout.ids[0].tolist() == [*narrow.rollout.ids[0].tolist(), Encoding.pad]
    assert both.rollout.ids[3].tolist() == wide.rollout.ids[1, :3].tolist()
    assert both.rollout.logp_rollout_tok is not None
    assert both.rollout.logp_rollout_tok[1].tolist() == [-3.0, 0.0, 0.0]
    assert (both.reward_seq.tolist(), both.gold_seq.tolist()) == ([0, 1, 1, 0], [5, 6, 7, 8])
    assert both.rollout.prompts.texts == ("prompt 0", "prompt 1", "prompt 0", "prompt 1")


class Encoding:
    """A policy of which the pad token is asked for, and prompts as tokens."""

    pad = 9

    def encode(self, texts: Sequence[str], groups: Sequence[int]) -> Any:
        return replace(toy.prompts(len(texts), groups), texts=tuple(texts))


@pytest.mark.parametrize("algorithm", ["dapo", "frpo"])
def test_a_resumed_run_is_the_uninterrupted_one(algorithm: str, tmp_path: Path) -> None:
    settings = [f"algorithm={algorithm}", "optimizer.lr=1e-2", "rollout.dynamic_sampling=2", "checkpoint.every=1"]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole, first = small(tmp_path / "a", *settings, "updates=4"), small(tmp_path / "b", *settings, "updates=2")
    assert run(first)[0].status == "finished"
    rows_of_both = numbers(run({**first, "updates": 4})[1])
    assert rows_of_both == numbers(run(whole)[1])
    assert any(row["rollout/further"] for row in rows_of_both)


def test_without_it_a_row_has_none_of_its_metrics(tmp_path: Path) -> None:
    row = trained(small(tmp_path, "algorithm=grpo", "updates=1"))[2][0]
    assert not [name for name in row if name.startswith("rollout/") or name == "time/refill_s"]


def test_a_controller_hears_the_reward_first_drawn_and_a_replay_hears_it_too(tmp_path: Path) -> None:
    """SAFE's threshold follows the reward; by hand, it hears the rows' own."""
    config = small(
        tmp_path, "algorithm=grpo", "controller=safe", "rollout.dynamic_sampling=5", "optimizer.lr=1e-2", "updates=4"
    )
    parts = replace(parts_of(config), reward=Coin(0.1))
    outcome = train(parts, config, ["test"], "test")
    lines = [json.loads(line) for line in (outcome.directory / "metrics.jsonl").read_text().splitlines()]
    assert any(line["rollout/further"] for line in lines)
    heard = run_signals(outcome.directory)
    assert [(each.reward_mean, each.n_sequences) for each in heard] == [(line["reward/mean"], SIZE) for line in lines]
    thresholds = [line["threshold"] for line in replay(parts.controller, heard)]
    assert [line["controller/threshold"] for line in lines] == thresholds
    assert len(set(thresholds)) == len(lines)
